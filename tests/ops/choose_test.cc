#include "ops/choose.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "tests/ops/choices.h"

namespace shoehorn {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Choose, WeightsArePowersOfTwo) {
  const uint32_t* powers = weights::kPowers.values.data();
  EXPECT_EQ(weights::weight_of(0, powers), weights::kOne);
  EXPECT_EQ(weights::weight_of(weights::kStepsPerOctave, powers), weights::kOne / 2);
  Random random(1);
  for (int i = 0; i < 200000; ++i) {
    const auto steps = static_cast<uint32_t>(random.below(weights::kMostSteps + 1));
    const double expected = std::ldexp(std::exp2(-static_cast<double>(steps) * 0x1p-24), 40);
    const auto found = static_cast<double>(weights::weight_of(steps, powers));
    ASSERT_NEAR(found, expected, 1 + expected * 0x1p-27) << steps;
  }
  EXPECT_GE(weights::weight_of(weights::kMostSteps, powers), 1u);
}

TEST(Choose, StepsCountFromTheTop) {
  EXPECT_EQ(weights::steps_below(3, 3, 2), 0u);
  EXPECT_EQ(weights::steps_below(3, 2, 2), 2 * weights::kStepsPerOctave);
  EXPECT_EQ(weights::steps_below(3, -17, 2), weights::kNever);
  EXPECT_EQ(weights::steps_below(3, -kInfinity, 2), weights::kNever);
  EXPECT_EQ(weights::steps_below(3, std::nanf(""), 2), weights::kNever);
  EXPECT_LE(weights::steps_below(0, std::nextafter(-40.0f, 0.0f), 1), weights::kMostSteps);
}

TEST(Choose, FractionsAreThoseOf128Bits) {
  Random random(2);
  for (int i = 0; i < 100000; ++i) {
    const uint64_t a = random.next(), b = random.next() >> random.below(64);
    const auto expected = static_cast<uint64_t>((static_cast<unsigned __int128>(a) * b) >> 64);
    ASSERT_EQ(weights::fraction_of(a, b), expected) << a << " " << b;
  }
  EXPECT_EQ(weights::fraction_of(UINT64_MAX, UINT64_MAX), UINT64_MAX - 1);
}

// The set that may be drawn, by the words of the header, in double.
std::vector<int32_t> allowed(const std::vector<float>& logits, double temperature, int32_t k,
                             double p, double min_p) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  const auto probability = [&](int32_t token) {
    return std::exp((logits[token] - logits[order[0]]) / temperature);
  };
  std::erase_if(order, [&](int32_t t) { return !(probability(t) >= std::max(min_p, 0x1p-40)); });
  if (k > 0 && static_cast<size_t>(k) < order.size()) order.resize(static_cast<size_t>(k));
  double total = 0, sum = 0;
  for (const int32_t token : order) total += probability(token);
  size_t kept = 0;
  while (kept < order.size() && (p >= 1 || sum < p * total)) sum += probability(order[kept++]);
  order.resize(kept);
  std::sort(order.begin(), order.end());
  return order;
}

TEST(Choose, DrawsFromTheDefinedSetWithItsProbabilities) {
  Random random(3);
  std::vector<float> logits(60);
  for (float& x : logits) x = random.uniform(-4.0f, 4.0f);
  struct Case {
    double temperature;
    int32_t k;
    double p, min_p;
  };
  for (const Case& c : {Case{1, 0, 1, 0}, Case{0.7, 7, 1, 0}, Case{1.5, 0, 0.83, 0},
                        Case{1, 0, 1, 0.07}, Case{2, 20, 0.9, 0.02}}) {
    const std::vector<int32_t> set = allowed(logits, c.temperature, c.k, c.p, c.min_p);
    std::map<int32_t, int> found;
    std::vector<Candidate> scratch;
    constexpr int kDraws = 40000;
    for (int i = 0; i < kDraws; ++i) {
      const Choice choice = make_choice(c.temperature, c.k, c.p, c.min_p, 5, i);
      ++found[choose(logits, choice, scratch)];
    }
    double total = 0;
    for (const int32_t t : set) total += std::exp(logits[t] / c.temperature);
    for (const auto& [token, count] : found) {
      EXPECT_TRUE(std::binary_search(set.begin(), set.end(), token)) << token;
    }
    for (const int32_t t : set) {
      const double expected = std::exp(logits[t] / c.temperature) / total * kDraws;
      EXPECT_NEAR(found[t], expected, 5 * std::sqrt(expected) + 1) << "token " << t;
    }
  }
}

TEST(Choose, EqualLogitsAreKeptInTheOrderOfIds) {
  const std::vector<float> logits(1000, 0.5f);
  std::vector<Candidate> scratch;
  std::map<int32_t, int> found;
  for (int i = 0; i < 3000; ++i) ++found[choose(logits, make_choice(1, 3, 1, 0, 1, i), scratch)];
  EXPECT_EQ(found.size(), 3u);
  EXPECT_EQ(found.rbegin()->first, 2);
}

TEST(Choose, RowsWithoutAProperTop) {
  std::vector<Candidate> scratch;
  const Choice choice = make_choice(1, 0, 1, 0, 1, 0);
  EXPECT_EQ(choose(std::vector<float>{-kInfinity, -kInfinity}, choice, scratch), 0);
  EXPECT_EQ(choose(std::vector<float>{0, kInfinity, kInfinity}, choice, scratch), 1);
  EXPECT_EQ(choose(std::vector<float>{7}, choice, scratch), 0);
}

TEST(Random, NumbersByIndexAreAStreamForEachSeed) {
  static_assert(random_at(1, 0) != random_at(1, 1) && random_at(1, 0) != random_at(2, 0));
  double sum = 0;
  for (uint64_t i = 0; i < 100000; ++i) {
    sum += static_cast<double>(random_at(9, i) >> 11) * 0x1p-53;
  }
  EXPECT_NEAR(sum / 100000, 0.5, 0.005);
}

}  // namespace
}  // namespace shoehorn
