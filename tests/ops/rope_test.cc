#include "ops/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "tests/ops/every_isa.h"

namespace shoehorn {
namespace {

// Rotation of one head in double.
std::vector<double> rotated(const float* x, int64_t head_dim, double position,
                            const RopeTable& table, RopePairing pairing) {
  std::vector<double> out(x, x + head_dim);
  const auto pairs = static_cast<int64_t>(table.frequencies.size());
  for (int64_t i = 0; i < pairs; ++i) {
    const int64_t a = pairing == RopePairing::half ? i : 2 * i;
    const int64_t b = pairing == RopePairing::half ? i + pairs : 2 * i + 1;
    const double angle = position * table.frequencies[static_cast<size_t>(i)];
    const double c = std::cos(angle) * table.magnitude, s = std::sin(angle) * table.magnitude;
    const auto xa = static_cast<double>(x[a]), xb = static_cast<double>(x[b]);
    out[static_cast<size_t>(a)] = xa * c - xb * s;
    out[static_cast<size_t>(b)] = xb * c + xa * s;
  }
  return out;
}

struct RopeShape {
  int64_t heads, head_dim, dimensions;
};
constexpr RopeShape kShapes[] = {{1, 4, 2},    {9, 64, 64}, {3, 80, 80}, {32, 128, 128},
                                 {2, 192, 64}, {5, 46, 46}, {7, 128, 30}};

TEST(Rope, MatchesDouble) {
  Random random(31);
  for (const RopeShape& shape : kShapes) {
    RopeTable table = rope_table(shape.dimensions, 10000);
    table.magnitude = 1.25;
    const std::vector<int32_t> positions = {0, 1, 1000, 131071, 1000000, 5};
    const auto m = static_cast<int64_t>(positions.size());
    const int64_t row = shape.heads * shape.head_dim + 3;  // strided
    const std::vector<float> before = random_floats(random, m * row, -1.0f, 1.0f);
    for (const RopePairing pairing : {RopePairing::half, RopePairing::interleaved}) {
      on_every_isa([&] {
        ThreadPool pool(2);
        const int64_t pairs = shape.dimensions / 2;
        std::vector<float> cosines(static_cast<size_t>(m * pairs)), sines(cosines.size());
        const Tensor c = Tensor::matrix(cosines.data(), m, pairs);
        const Tensor s = Tensor::matrix(sines.data(), m, pairs);
        rope_angles(pool, positions, table, c, s);
        std::vector<float> x = before;
        const Tensor tensor = {
            x.data(), DType::f32, 3, {m, shape.heads, shape.head_dim}, {row, shape.head_dim, 1}};
        rope(pool, tensor, c, s, pairing);
        for (int64_t i = 0; i < m; ++i) {
          for (int64_t head = 0; head < shape.heads; ++head) {
            const auto at = static_cast<size_t>(i * row + head * shape.head_dim);
            const std::vector<double> expected = rotated(
                &before[at], shape.head_dim, positions[static_cast<size_t>(i)], table, pairing);
            for (size_t j = 0; j < expected.size(); ++j) {
              // cos, sin and three operations are rounded once each, on numbers of at most 2.5.
              ASSERT_NEAR(x[at + j], expected[j], 0x1p-24 * 5) << "position " << i << ", " << j;
              if (static_cast<int64_t>(j) >= shape.dimensions) {
                ASSERT_EQ(x[at + j], before[at + j]);
              }
            }
          }
          for (int64_t j = row - 3; j < row; ++j) {
            const auto at = static_cast<size_t>(i * row + j);
            ASSERT_EQ(x[at], before[at]) << "gap";
          }
        }
      });
    }
  }
}

TEST(Rope, SameBitsForAnyBatchAndThreadCount) {
  Random random(32);
  constexpr int64_t kRows = 21, kHeads = 9, kDim = 64;
  const RopeTable table = rope_table(kDim, 500000);
  std::vector<int32_t> positions;
  for (int64_t i = 0; i < kRows; ++i) positions.push_back(static_cast<int32_t>(i * i * 31));
  const std::vector<float> before = random_floats(random, kRows * kHeads * kDim, -1.0f, 1.0f);
  on_every_isa([&] {
    for (const RopePairing pairing : {RopePairing::half, RopePairing::interleaved}) {
      const auto rotate = [&](int threads, int64_t batch) {
        ThreadPool pool(threads);
        std::vector<float> x = before;
        std::vector<float> cosines(kRows * kDim / 2), sines(cosines.size());
        for (int64_t i = 0; i < kRows; i += batch) {
          const int64_t m = std::min(batch, kRows - i);
          const Tensor c = Tensor::matrix(cosines.data(), m, kDim / 2);
          const Tensor s = Tensor::matrix(sines.data(), m, kDim / 2);
          rope_angles(pool,
                      std::span(positions).subspan(static_cast<size_t>(i), static_cast<size_t>(m)),
                      table, c, s);
          rope(pool,
               {x.data() + i * kHeads * kDim,
                DType::f32,
                3,
                {m, kHeads, kDim},
                {kHeads * kDim, kDim, 1}},
               c, s, pairing);
        }
        return x;
      };
      const std::vector<float> together = rotate(1, kRows);
      EXPECT_TRUE(same_bits(rotate(4, kRows), together));
      EXPECT_TRUE(same_bits(rotate(2, 1), together));
      EXPECT_TRUE(same_bits(rotate(3, 8), together));
    }
  });
}

TEST(RopeTable, PlainFrequencies) {
  const RopeTable table = rope_table(128, 10000);
  ASSERT_EQ(table.frequencies.size(), 64u);
  EXPECT_EQ(table.dimensions(), 128);
  EXPECT_EQ(table.frequencies[0], 1);
  EXPECT_NEAR(table.frequencies[32], 0.01, 1e-17);
  EXPECT_NEAR(table.frequencies[63], std::pow(10000, -126.0 / 128), 1e-18);
  EXPECT_EQ(table.magnitude, 1);
}

TEST(RopeTable, LinearAndDivisors) {
  RopeTable linear = rope_table(64, 100000);
  const RopeTable plain = linear;
  scale_linear(linear, 4);
  for (size_t i = 0; i < 32; ++i) EXPECT_EQ(linear.frequencies[i], plain.frequencies[i] / 4);
  RopeTable divided = plain;
  std::vector<float> divisors(32, 1.0f);
  divisors[7] = 2.5f;
  scale_by_divisors(divided, divisors);
  for (size_t i = 0; i < 32; ++i) {
    EXPECT_EQ(divided.frequencies[i], plain.frequencies[i] / (i == 7 ? 2.5 : 1));
  }
}

// Check values: the divisors stored in GGUF files of Llama 3.1 (rope_freqs.weight).
TEST(RopeTable, Llama3) {
  RopeTable table = rope_table(128, 500000);
  const RopeTable plain = table;
  scale_llama3(table, {});
  const std::vector<double> ramp = {1.207484, 1.553415, 2.026313, 2.694530, 3.684253, 5.257327};
  for (size_t i = 0; i < 64; ++i) {
    const double divisor = plain.frequencies[i] / table.frequencies[i];
    const double expected = i <= 28 ? 1 : i >= 35 ? 8 : ramp[i - 29];
    EXPECT_NEAR(divisor, expected, 1e-6 * expected) << i;
  }
}

// Check values of DeepSeek V2 and V3: 64 dimensions, factor 40 over 4096.
TEST(RopeTable, YarnOfDeepSeek) {
  RopeTable table = rope_table(64, 10000);
  scale_yarn(table, {.factor = 40, .original_max_position_embeddings = 4096, .theta = 10000});
  const std::vector<std::pair<size_t, double>> expected = {
      {0, 1},
      {9, 7.498942093e-2},
      {10, 5.623413252e-2},
      {11, 3.900692657e-2},
      {15, 8.334508951e-3},
      {16, 5.5e-3},
      {22, 1.778279410e-4},
      {23, 3.333803580e-5},
      {31, 3.333803580e-6},
  };
  for (const auto& [i, frequency] : expected) {
    EXPECT_NEAR(table.frequencies[i], frequency, 2e-8 * frequency) << i;
  }
  EXPECT_EQ(table.magnitude, 1);
}

TEST(RopeTable, YarnOfOtherBaseAndLength) {
  RopeTable table = rope_table(64, 160000);
  scale_yarn(
      table,
      {.factor = 16, .original_max_position_embeddings = 65536, .theta = 160000, .magnitude = 1.5});
  const std::vector<std::pair<size_t, double>> expected = {{14, 5.286856317e-3},
                                                           {15, 3.635538584e-3},
                                                           {16, 2.265625e-3},
                                                           {20, 2.969777783e-4},
                                                           {25, 5.372312671e-6}};
  for (const auto& [i, frequency] : expected) {
    EXPECT_NEAR(table.frequencies[i], frequency, 2e-8 * frequency) << i;
  }
  EXPECT_EQ(table.magnitude, 1.5);
}

TEST(Rope, Cost) {
  EXPECT_EQ(rope_cost(2, 3, 64).bytes, 2 * 3 * 64 * 8);
}

}  // namespace
}  // namespace shoehorn
