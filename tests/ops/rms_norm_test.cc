#include "ops/rms_norm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/ops/every_isa.h"

namespace shoehorn {
namespace {

TEST(RmsNorm, MatchesDouble) {
  Random random(3);
  for (const int64_t h : {1, 3, 15, 16, 17, 64, 100, 576, 4096, 8192}) {
    for (const int64_t m : {1, 2, 33}) {
      std::vector<float> x = random_floats(random, m * h, -3.0f, 3.0f);
      const std::vector<float> weight = random_floats(random, h, -2.0f, 2.0f);
      on_every_isa([&] {
        ThreadPool pool(2);
        std::vector<float> out(x.size(), std::nanf(""));
        rms_norm(pool, Tensor::matrix(x.data(), m, h), weight.data(), 1e-5f,
                 Tensor::matrix(out.data(), m, h));
        for (int64_t i = 0; i < m; ++i) {
          double squares = 0;
          for (int64_t j = 0; j < h; ++j) {
            squares += std::pow(static_cast<double>(x[static_cast<size_t>(i * h + j)]), 2);
          }
          const double factor = 1 / std::sqrt(squares / static_cast<double>(h) + 1e-5);
          for (int64_t j = 0; j < h; ++j) {
            const auto at = static_cast<size_t>(i * h + j);
            const double expected =
                x[at] * factor * static_cast<double>(weight[static_cast<size_t>(j)]);
            // The sum of squares is off by at most h roundings, its root by half of that.
            const double relative = 0x1p-24 * (6 + std::sqrt(static_cast<double>(h)));
            ASSERT_NEAR(out[at], expected, relative * std::abs(expected) + 1e-37)
                << m << " x " << h << " at " << at;
          }
        }
        std::vector<float> in_place = x;
        rms_norm(pool, Tensor::matrix(in_place.data(), m, h), weight.data(), 1e-5f,
                 Tensor::matrix(in_place.data(), m, h));
        EXPECT_TRUE(same_bits(in_place, out));
      });
    }
  }
}

TEST(RmsNorm, SameBitsForAnyBatchAndThreadCount) {
  Random random(4);
  constexpr int64_t kRows = 37, kColumns = 577;
  std::vector<float> x = random_floats(random, kRows * kColumns, -1.0f, 1.0f);
  const std::vector<float> weight = random_floats(random, kColumns, 0.0f, 2.0f);
  on_every_isa([&] {
    ThreadPool one(1), four(4);
    std::vector<float> together(x.size()), alone(x.size());
    rms_norm(four, Tensor::matrix(x.data(), kRows, kColumns), weight.data(), 1e-6f,
             Tensor::matrix(together.data(), kRows, kColumns));
    for (int64_t i = 0; i < kRows; ++i) {
      rms_norm(one, Tensor::matrix(x.data() + i * kColumns, 1, kColumns), weight.data(), 1e-6f,
               Tensor::matrix(alone.data() + i * kColumns, 1, kColumns));
    }
    EXPECT_TRUE(same_bits(together, alone));
  });
}

// Rows with a stride, as slices of a wider workspace have; the gap stays untouched.
TEST(RmsNorm, StridedRowsAndZeros) {
  on_every_isa([&] {
    ThreadPool pool(1);
    std::vector<float> x(2 * 50, 7.0f), out(2 * 50, -1.0f);
    std::fill(x.begin(), x.begin() + 20, 0.0f);
    const std::vector<float> weight(20, 1.0f);
    rms_norm(pool, Tensor::matrix(x.data(), 2, 20, 50), weight.data(), 1e-6f,
             Tensor::matrix(out.data(), 2, 20, 50));
    for (size_t i = 0; i < 50; ++i) EXPECT_EQ(out[i], i < 20 ? 0.0f : -1.0f) << i;
    for (size_t i = 0; i < 20; ++i) EXPECT_NEAR(out[50 + i], 1.0f, 1e-6f);
    EXPECT_EQ(out[70], -1.0f);
  });
}

TEST(RmsNorm, Cost) {
  const Cost cost = rms_norm_cost(3, 100);
  EXPECT_EQ(cost.bytes, 3 * 100 * 8 + 100 * 4);
  EXPECT_EQ(cost.flops, 3 * 100 * 4);
}

}  // namespace
}  // namespace shoehorn
