#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

namespace shoehorn {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// Draws n times from the same logits; share of each token.
std::map<int32_t, double> shares(const SamplingParameters& parameters,
                                 const std::vector<float>& logits, int n = 20000) {
  Sampler sampler(parameters, static_cast<int64_t>(logits.size()));
  std::map<int32_t, double> found;
  for (int i = 0; i < n; ++i) {
    std::vector<float> copy = logits;
    found[sampler.choose(copy)] += 1.0 / n;
  }
  return found;
}

const std::vector<float> kLogits = {std::log(0.5f), std::log(0.25f), std::log(0.15f),
                                    std::log(0.1f)};

TEST(Sampler, GreedyTakesTheLargestAndTheFirstOnATie) {
  Sampler sampler({}, 4);
  std::vector<float> logits = {1, 3, 3, 2};
  EXPECT_EQ(sampler.choose(logits), 1);
}

TEST(Sampler, DrawsWithTheProbabilitiesOfTheSoftmax) {
  const auto found = shares({.temperature = 1, .seed = 1}, kLogits);
  EXPECT_NEAR(found.at(0), 0.5, 0.015);
  EXPECT_NEAR(found.at(1), 0.25, 0.015);
  EXPECT_NEAR(found.at(3), 0.1, 0.01);
}

TEST(Sampler, TemperatureSharpensAndFlattens) {
  // p^(1/T), normalised: T = 0.5 squares the probabilities.
  const double total = 0.25 + 0.0625 + 0.0225 + 0.01;
  EXPECT_NEAR(shares({.temperature = 0.5, .seed = 2}, kLogits).at(0), 0.25 / total, 0.015);
  EXPECT_NEAR(shares({.temperature = 100, .seed = 2}, kLogits).at(3), 0.25, 0.02);
}

TEST(Sampler, TopKKeepsExactlyK) {
  const auto found = shares({.temperature = 1, .top_k = 2, .seed = 3}, kLogits);
  EXPECT_EQ(found.size(), 2u);
  EXPECT_NEAR(found.at(0), 2.0 / 3, 0.015);
}

TEST(Sampler, TopPKeepsTheFewestThatReachP) {
  EXPECT_EQ(shares({.temperature = 1, .top_p = 0.45, .seed = 4}, kLogits).size(), 1u);
  EXPECT_EQ(shares({.temperature = 1, .top_p = 0.74, .seed = 4}, kLogits).size(), 2u);
  EXPECT_EQ(shares({.temperature = 1, .top_p = 0.76, .seed = 4}, kLogits).size(), 3u);
}

TEST(Sampler, MinPIsRelativeToTheLikeliest) {
  EXPECT_EQ(shares({.temperature = 1, .min_p = 0.49, .seed = 5}, kLogits).size(), 2u);
  EXPECT_EQ(shares({.temperature = 1, .min_p = 0.51, .seed = 5}, kLogits).size(), 1u);
}

TEST(Sampler, NeverDrawsMaskedTokens) {
  const auto found = shares({.temperature = 50, .seed = 6}, {kNever, 0, kNever, 1});
  EXPECT_EQ(found.count(0), 0u);
  EXPECT_EQ(found.count(2), 0u);
}

TEST(Sampler, TheSameSeedGivesTheSameTokens) {
  const auto draw = [](uint64_t seed) {
    Sampler sampler({.temperature = 1, .seed = seed}, 4);
    std::vector<int32_t> tokens;
    for (int i = 0; i < 50; ++i) {
      std::vector<float> copy = kLogits;
      tokens.push_back(sampler.choose(copy));
    }
    return tokens;
  };
  EXPECT_EQ(draw(7), draw(7));
  EXPECT_NE(draw(7), draw(8));
}

TEST(Sampler, RepetitionPenaltyActsOnPromptAndAnswerBySign) {
  Sampler sampler({.repetition_penalty = 2}, 4);
  const std::vector<int32_t> prompt = {0};
  sampler.see_prompt(prompt);
  sampler.see_generated(1);
  std::vector<float> logits = {4, -1, 3, -1.5f};
  EXPECT_EQ(sampler.choose(logits), 2);
  EXPECT_FLOAT_EQ(logits[0], 2);   // positive: divided
  EXPECT_FLOAT_EQ(logits[1], -2);  // negative: multiplied
  EXPECT_FLOAT_EQ(logits[3], -1.5f);
}

TEST(Sampler, FrequencyAndPresencePenaltiesActOnTheAnswerAlone) {
  Sampler sampler({.frequency_penalty = 0.5, .presence_penalty = 1}, 3);
  const std::vector<int32_t> prompt = {0, 0, 0};
  sampler.see_prompt(prompt);
  sampler.see_generated(1);
  sampler.see_generated(1);
  std::vector<float> logits = {1, 3, 0};
  sampler.choose(logits);
  EXPECT_FLOAT_EQ(logits[0], 1);
  EXPECT_FLOAT_EQ(logits[1], 3 - 2 * 0.5f - 1);
}

TEST(Sampler, RefusesValuesOutOfRangeByName) {
  EXPECT_TRUE(check(SamplingParameters{}).ok());
  const auto message = [](const SamplingParameters& p) { return check(p).error().message; };
  EXPECT_NE(message({.temperature = -1}).find("temperature"), std::string::npos);
  EXPECT_NE(message({.temperature = NAN}).find("temperature"), std::string::npos);
  EXPECT_NE(message({.top_p = 0}).find("top_p"), std::string::npos);
  EXPECT_NE(message({.top_k = -1}).find("top_k"), std::string::npos);
  EXPECT_NE(message({.min_p = 1.5}).find("min_p"), std::string::npos);
  EXPECT_NE(message({.repetition_penalty = 0}).find("repetition_penalty"), std::string::npos);
  EXPECT_NE(message({.frequency_penalty = 3}).find("frequency_penalty"), std::string::npos);
  EXPECT_NE(message({.presence_penalty = -3}).find("presence_penalty"), std::string::npos);
}

}  // namespace
}  // namespace shoehorn
