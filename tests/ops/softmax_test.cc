#include "ops/softmax.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "ops/cpu/vector_kernels.h"
#include "tests/ops/every_isa.h"

namespace shoehorn {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Every 997th float: all exponents, both signs. The bound is the contract's.
TEST(Exponential, AtMostTwoUlp) {
  on_every_isa([&] {
    std::vector<float> x;
    for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 997) {
      const float value = std::bit_cast<float>(static_cast<uint32_t>(bits));
      if (std::abs(value) < 110) x.push_back(value);
    }
    std::vector<float> out(x.size());
    vector_kernels().exponentials(x.data(), 0, 1, static_cast<int64_t>(x.size()), out.data());
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = std::exp(static_cast<double>(x[i]));
      const auto rounded = static_cast<float>(exact);
      if (rounded == kInfinity) {
        ASSERT_GT(out[i], 3.40282e38f) << x[i];
        continue;
      }
      const double ulp =
          std::nextafter(static_cast<double>(rounded) >= 0x1p-126 ? rounded : 0x1p-126f,
                         kInfinity) -
          (static_cast<double>(rounded) >= 0x1p-126 ? rounded : 0x1p-126f);
      worst = std::max(worst, std::abs(static_cast<double>(out[i]) - exact) / ulp);
    }
    EXPECT_LE(worst, 2.0);
    RecordProperty("worst_ulp", std::to_string(worst));
  });
}

TEST(Exponential, Extremes) {
  on_every_isa([&] {
    const std::vector<float> x = {0,     -0.0f,     -kInfinity,    -1e30f, -104,  89,
                                  1e30f, kInfinity, std::nanf(""), 88.72f, -87.4f};
    std::vector<float> e(x.size());
    vector_kernels().exponentials(x.data(), 0, 1, static_cast<int64_t>(x.size()), e.data());
    EXPECT_EQ(e[0], 1);
    EXPECT_EQ(e[1], 1);
    for (const size_t i : {2, 3, 4}) EXPECT_EQ(e[i], 0) << x[i];
    for (const size_t i : {5, 6, 7}) EXPECT_EQ(e[i], kInfinity) << x[i];
    EXPECT_TRUE(std::isnan(e[8]));
    EXPECT_TRUE(std::isfinite(e[9]));
    EXPECT_NEAR(e[10] / 1.098e-38f, 1, 0.01);
  });
}

TEST(Softmax, MatchesDouble) {
  Random random(11);
  for (const int64_t n : {1, 2, 15, 16, 17, 1000, 1024, 1025, 49152, 151936}) {
    for (const float temperature : {0.3f, 1.0f, 2.0f}) {
      const std::vector<float> x = random_floats(random, n, -15.0f, 15.0f);
      const double maximum = *std::max_element(x.begin(), x.end());
      double sum = 0;
      for (const float v : x) sum += std::exp((v - maximum) / static_cast<double>(temperature));
      on_every_isa([&] {
        std::vector<float> out(x.size());
        softmax(x, temperature, out);
        double total = 0;
        for (size_t i = 0; i < x.size(); ++i) {
          const double exponent = (x[i] - maximum) / static_cast<double>(temperature);
          const double expected = std::exp(exponent) / sum;
          // The exponent, at most 100, is rounded twice; exp is off by 2 ulp.
          const double relative = 0x1p-24 * (8 + 2 * std::abs(exponent));
          ASSERT_NEAR(out[i], expected, relative * expected + 1e-44) << x[i];
          total += static_cast<double>(out[i]);
        }
        EXPECT_NEAR(total, 1, 1e-6);
        std::vector<float> in_place = x;
        softmax(in_place, temperature, in_place);
        EXPECT_TRUE(same_bits(in_place, out));
      });
    }
  }
}

TEST(Softmax, MinusInfinityGivesZero) {
  on_every_isa([&] {
    const std::vector<float> x = {-kInfinity, 1e30f, -kInfinity, 1e30f, -1e30f};
    std::vector<float> out(x.size());
    softmax(x, 0.5f, out);
    EXPECT_EQ(out, (std::vector<float>{0, 0.5f, 0, 0.5f, 0}));
  });
}

TEST(LogSumExp, MatchesDouble) {
  Random random(12);
  for (const int64_t n : {1, 3, 1023, 1024, 1025, 102400}) {
    const std::vector<float> x = random_floats(random, n, 60.0f, 90.0f);
    double sum = 0;
    for (const float v : x) sum += std::exp(static_cast<double>(v) - 80);
    on_every_isa([&] { EXPECT_NEAR(log_sum_exp(x), 80 + std::log(sum), 3e-7) << n; });
  }
  on_every_isa([&] {
    EXPECT_EQ(log_sum_exp(std::vector<float>{-kInfinity, -kInfinity}), -kInfinity);
    EXPECT_EQ(log_sum_exp(std::vector<float>{-kInfinity, 2.5f}), 2.5);
  });
}

TEST(Argmax, LowestIndexOfTheLargest) {
  Random random(13);
  on_every_isa([&] {
    for (const size_t n : {1, 2, 15, 16, 33, 1000}) {
      for (size_t at = 0; at < n; at += 1 + n / 17) {
        std::vector<float> x = random_floats(random, static_cast<int64_t>(n), -5.0f, -4.0f);
        x[at] = -3.0f;
        x[n - 1] = -3.0f;
        EXPECT_EQ(argmax(x), static_cast<int32_t>(at));
      }
    }
    EXPECT_EQ(argmax(std::vector<float>{-kInfinity, -kInfinity}), 0);
    EXPECT_EQ(argmax(std::vector<float>{0.0f, kInfinity, kInfinity}), 1);
  });
}

TEST(Softmax, Cost) {
  EXPECT_EQ(softmax_cost(10).bytes, 80);
  EXPECT_EQ(softmax_cost(10).flops, 50);
}

}  // namespace
}  // namespace shoehorn
