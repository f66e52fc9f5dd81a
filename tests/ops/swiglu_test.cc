#include "ops/swiglu.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/ops/every_isa.h"

namespace shoehorn {
namespace {

double expected(float gate, float up) {
  const auto z = static_cast<double>(gate);
  return z / (1 + std::exp(-z)) * static_cast<double>(up);
}

TEST(Swiglu, MatchesDouble) {
  Random random(3);
  for (const int64_t f : {1, 7, 16, 31, 1000, 1024, 1025, 4099, 22016}) {
    for (const int64_t m : {1, 3}) {
      std::vector<float> gate = random_floats(random, m * f, -20.0f, 20.0f);
      std::vector<float> up = random_floats(random, m * f, -3.0f, 3.0f);
      on_every_isa([&] {
        ThreadPool pool(3);
        std::vector<float> out(gate.size(), std::nanf(""));
        const auto tensor = [&](std::vector<float>& x) { return Tensor::matrix(x.data(), m, f); };
        swiglu(pool, tensor(gate), tensor(up), tensor(out));
        for (size_t i = 0; i < out.size(); ++i) {
          const double value = expected(gate[i], up[i]);
          // exp is off by 2 ulp, and three roundings follow.
          ASSERT_NEAR(out[i], value, 0x1p-23 * 6 * std::abs(value)) << gate[i] << " " << up[i];
        }
        std::vector<float> over_gate = gate, over_up = up;
        swiglu(pool, tensor(over_gate), tensor(up), tensor(over_gate));
        swiglu(pool, tensor(gate), tensor(over_up), tensor(over_up));
        EXPECT_TRUE(same_bits(over_gate, out));
        EXPECT_TRUE(same_bits(over_up, out));
      });
    }
  }
}

TEST(Swiglu, Extremes) {
  on_every_isa([&] {
    ThreadPool pool(1);
    const float infinity = std::numeric_limits<float>::infinity();
    std::vector<float> gate = {0,    -0.0f, 88,     -88,      200,
                               -200, 1e30f, -1e30f, infinity, std::nanf("")};
    std::vector<float> up(gate.size(), 2.0f), out(gate.size());
    const auto n = static_cast<int64_t>(gate.size());
    swiglu(pool, Tensor::matrix(gate.data(), 1, n), Tensor::matrix(up.data(), 1, n),
           Tensor::matrix(out.data(), 1, n));
    EXPECT_EQ(out[0], 0);
    EXPECT_EQ(out[1], 0);
    EXPECT_EQ(out[2], 176);
    EXPECT_NEAR(out[3], 0, 1e-35);
    EXPECT_EQ(out[4], 400);
    EXPECT_EQ(out[5], 0);
    EXPECT_EQ(out[6], 2e30f);
    EXPECT_EQ(out[7], 0);
    EXPECT_EQ(out[8], infinity);
    EXPECT_TRUE(std::isnan(out[9]));
  });
}

TEST(Swiglu, SameBitsForAnyBatchAndThreadCount) {
  Random random(5);
  constexpr int64_t kRows = 9, kColumns = 3001;
  std::vector<float> gate = random_floats(random, kRows * kColumns, -9.0f, 9.0f);
  std::vector<float> up = random_floats(random, kRows * kColumns, -9.0f, 9.0f);
  on_every_isa([&] {
    ThreadPool one(1), four(4);
    std::vector<float> together(gate.size()), alone(gate.size());
    swiglu(four, Tensor::matrix(gate.data(), kRows, kColumns),
           Tensor::matrix(up.data(), kRows, kColumns),
           Tensor::matrix(together.data(), kRows, kColumns));
    for (int64_t i = 0; i < kRows; ++i) {
      const auto row = [&](std::vector<float>& x) {
        return Tensor::matrix(x.data() + i * kColumns, 1, kColumns);
      };
      swiglu(one, row(gate), row(up), row(alone));
    }
    EXPECT_TRUE(same_bits(together, alone));
  });
}

TEST(Swiglu, Cost) {
  EXPECT_EQ(swiglu_cost(2, 10).bytes, 240);
  EXPECT_EQ(swiglu_cost(2, 10).flops, 100);
}

}  // namespace
}  // namespace shoehorn
