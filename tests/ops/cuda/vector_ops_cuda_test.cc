#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ops/choose.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/rope.h"
#include "ops/softmax.h"
#include "tests/ops/cuda/attention_card.h"
#include "tests/ops/every_isa.h"
#include "tests/ops/weight_maker.h"

namespace shoehorn {
namespace {

using VectorOpsCuda = CardTest;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

Tensor matrix(const OnCard<float>& values, int64_t rows, int64_t columns, int64_t stride = 0) {
  return Tensor::matrix(values.data(), rows, columns, stride);
}

// Angles are rounded once, from doubles that may differ in their last place.
TEST_F(VectorOpsCuda, RopeAnglesMatchDouble) {
  const std::vector<int32_t> positions = {0, 1, 7, 1000, 131071, 1000000, 2147483647};
  const auto m = static_cast<int64_t>(positions.size());
  for (const int64_t pairs : {1, 32, 64, 75}) {
    const RopeTable table = rope_table(2 * pairs, 10000);
    const OnCard<int32_t> at(positions);
    const OnCard<double> frequencies(table.frequencies);
    const int64_t stride = pairs + 3;
    const OnCard<float> cosines(static_cast<size_t>(m * stride)), sines(cosines.size());
    rope_angles(*gpu, at.data(), frequencies.data(), 1.25, matrix(cosines, m, pairs, stride),
                matrix(sines, m, pairs, stride));
    const std::vector<float> c = cosines.read(), s = sines.read();
    for (int64_t i = 0; i < m * stride; ++i) {
      const auto index = static_cast<size_t>(i);
      if (i % stride >= pairs) {
        ASSERT_TRUE(std::isnan(c[index]) && std::isnan(s[index])) << "gap " << i;
        continue;
      }
      const double angle = positions[static_cast<size_t>(i / stride)] *
                           table.frequencies[static_cast<size_t>(i % stride)];
      ASSERT_NEAR(c[index], std::cos(angle) * 1.25, 0x1p-24 * 1.001) << i;
      ASSERT_NEAR(s[index], std::sin(angle) * 1.25, 0x1p-24 * 1.001) << i;
    }
  }
}

struct RopeCase {
  AttentionShape shape;
  int64_t dimensions;
};

// [m, heads, d] with a gap behind each row.
struct Rows {
  int64_t m, heads, d;
  std::vector<float> values;
  Rows(Random& random, int64_t rows, int64_t head_count, int64_t head_dim)
      : m(rows),
        heads(head_count),
        d(head_dim),
        values(random_floats(random, rows * (head_count * head_dim + 5), -3.0f, 3.0f)) {}
  Tensor view(float* data) const {
    return {data, DType::f32, 3, {m, heads, d}, {heads * d + 5, d, 1}};
  }
};

// The CPU body's q, k and cache bytes, exactly, where both are given the same angles.
void check_rope_append(Gpu& gpu, const RopeCase& of, RopePairing pairing) {
  Random random(7);
  const AttentionProblem problem(of.shape);
  const AttentionOnCard card(problem);
  const AttentionShape& shape = of.shape;
  Rows q(random, problem.m, shape.heads, shape.head_dim);
  Rows k(random, problem.m, shape.kv_heads, shape.head_dim);
  Rows v(random, problem.m, shape.kv_heads, shape.head_dim);
  const int64_t pairs = of.dimensions / 2;
  std::vector<float> cosines = random_floats(random, problem.m * pairs, -1.0f, 1.0f);
  std::vector<float> sines = random_floats(random, problem.m * pairs, -1.0f, 1.0f);
  const OnCard<float> q_card(q.values), k_card(k.values), v_card(v.values);
  const OnCard<float> cosines_card(cosines), sines_card(sines);
  const SpansOnCard spans(problem.spans, shape.page_tokens);
  rope_and_append(gpu, card.layer(),
                  {.q = q.view(q_card.data()),
                   .k = k.view(k_card.data()),
                   .v = v.view(v_card.data()),
                   .cosines = matrix(cosines_card, problem.m, pairs),
                   .sines = matrix(sines_card, problem.m, pairs),
                   .pairing = pairing},
                  spans.view());
  ASSERT_TRUE(gpu.wait().ok());
  const std::vector<std::byte> cache = card.cache();
  ThreadPool pool(2);
  rope_and_append(pool, problem.layer,
                  {.q = q.view(q.values.data()),
                   .k = k.view(k.values.data()),
                   .v = v.view(v.values.data()),
                   .cosines = Tensor::matrix(cosines.data(), problem.m, pairs),
                   .sines = Tensor::matrix(sines.data(), problem.m, pairs),
                   .pairing = pairing},
                  problem.spans);
  EXPECT_TRUE(same_bits(q_card.read(), q.values)) << "q";
  EXPECT_TRUE(same_bits(k_card.read(), k.values)) << "k";
  EXPECT_TRUE(same_bits(v_card.read(), v.values)) << "v";
  EXPECT_EQ(std::memcmp(cache.data(), problem.layer.data, cache.size()), 0) << "cache";
}

TEST_F(VectorOpsCuda, RopeAndAppendMatchTheCpu) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    for (const RopeCase& of : {RopeCase{{9, 3, 64, dtype, 16, {{0, 5}, {30, 1}, {14, 4}}}, 64},
                               RopeCase{{8, 1, 128, dtype, 64, {{100, 70}}}, 128},
                               RopeCase{{2, 2, 80, dtype, 7, {{6, 2}, {0, 1}}}, 30},
                               RopeCase{{3, 3, 6, dtype, 4, {{3, 3}}}, 2}}) {
      for (const RopePairing pairing : {RopePairing::half, RopePairing::interleaved}) {
        SCOPED_TRACE(of.shape.name() + (pairing == RopePairing::half ? " half" : " interleaved"));
        check_rope_append(*gpu, of, pairing);
      }
    }
  }
}

TEST_F(VectorOpsCuda, EmbeddingOfEveryFormat) {
  constexpr int64_t kRows = 37, kColumns = 512, kStride = kColumns + 1;
  const std::vector<int32_t> tokens = {36, 0, 15, 16, 7, 7, 31, 32};
  const OnCard<int32_t> tokens_card(tokens);
  const auto m = static_cast<int64_t>(tokens.size());
  for (const Format& format : formats_under_test()) {
    SCOPED_TRACE(name(format));
    const OwnedWeight owned = make_weight(format, kRows, kColumns);
    const OnCard<std::byte> data(
        {owned.weight.data, static_cast<size_t>(owned.weight.size_bytes())});
    const Weight table = {format, kRows, kColumns, data.data()};
    const OnCard<float> out(static_cast<size_t>(m * kStride));
    embedding(*gpu, table, tokens_card.data(), matrix(out, m, kColumns, kStride));
    const std::vector<float> values = out.read();
    std::vector<float> expected(kColumns);
    for (int64_t i = 0; i < m; ++i) {
      dequantize_row(owned.weight, tokens[static_cast<size_t>(i)], expected.data());
      ASSERT_EQ(std::memcmp(&values[static_cast<size_t>(i * kStride)], expected.data(),
                            kColumns * sizeof(float)),
                0)
          << "row " << i;
      ASSERT_TRUE(std::isnan(values[static_cast<size_t>(i * kStride + kColumns)])) << "gap";
    }
  }
}

TEST_F(VectorOpsCuda, ArgmaxMatchesTheCpu) {
  Random random(9);
  for (const int64_t columns : {1, 2, 31, 1000, 1024, 1025, 102400}) {
    constexpr int64_t kRows = 6;
    const int64_t stride = columns + 3;
    std::vector<float> logits = random_floats(random, kRows * stride, -10.0f, 10.0f);
    const auto row = [&](int64_t i) {
      return std::span(logits).subspan(static_cast<size_t>(i * stride),
                                       static_cast<size_t>(columns));
    };
    // Gaps hold what would win. Row 1: few different values, many ties; 2: all minus infinity; 3:
    // but for the last; 4: the first wins; 5: all equal.
    for (float& x : logits) x = std::round(x * 1000) / 1000;
    for (int64_t i = 0; i < kRows; ++i) {
      for (int64_t j = columns; j < stride; ++j) {
        logits[static_cast<size_t>(i * stride + j)] = kInfinity;
      }
    }
    for (float& x : row(1)) x = std::round(x / 5);
    for (float& x : row(2)) x = -kInfinity;
    for (float& x : row(3)) x = -kInfinity;
    row(3).back() = -3e38f;
    row(4).front() = 11;
    for (float& x : row(5)) x = -2;
    const OnCard<float> logits_card(logits);
    const OnCard<int32_t> out(kRows);
    const OnCard<Choice> greedy{std::vector<Choice>(kRows)};
    choose(*gpu, matrix(logits_card, kRows, columns, stride),
           {.choices = greedy.data(), .tokens = out.data()});
    const std::vector<int32_t> found = out.read();
    for (int64_t i = 0; i < kRows; ++i) {
      EXPECT_EQ(found[static_cast<size_t>(i)], argmax(row(i))) << columns << " columns, row " << i;
    }
  }
}

TEST_F(VectorOpsCuda, AddRows) {
  Random random(10);
  for (const auto& [m, h] : {std::pair<int64_t, int64_t>{1, 576}, {70, 257}, {3, 8192}}) {
    std::vector<float> x = random_floats(random, m * (h + 2), -2.0f, 2.0f);
    const std::vector<float> y = random_floats(random, m * (h + 7), -2.0f, 2.0f);
    const OnCard<float> x_card(x), y_card(y);
    add_rows(*gpu, matrix(x_card, m, h, h + 2), matrix(y_card, m, h, h + 7));
    for (int64_t i = 0; i < m * h; ++i) {
      x[static_cast<size_t>(i / h * (h + 2) + i % h)] +=
          y[static_cast<size_t>(i / h * (h + 7) + i % h)];
    }
    EXPECT_TRUE(same_bits(x_card.read(), x)) << m << " rows of " << h;
  }
}

TEST_F(VectorOpsCuda, GatherRows) {
  Random random(11);
  constexpr int64_t kRows = 9, kColumns = 300, kStride = 304;
  const std::vector<float> x = random_floats(random, kRows * kStride, -2.0f, 2.0f);
  const std::vector<int32_t> rows = {8, 0, 3, 3, 7};
  const auto count = static_cast<int64_t>(rows.size());
  const OnCard<float> x_card(x), out(rows.size() * kColumns);
  const OnCard<int32_t> rows_card(rows);
  gather_rows(*gpu, matrix(x_card, kRows, kColumns, kStride), rows_card.data(),
              matrix(out, count, kColumns));
  std::vector<float> expected;
  for (const int32_t row : rows) {
    expected.insert(expected.end(), x.begin() + row * kStride,
                    x.begin() + row * kStride + kColumns);
  }
  EXPECT_TRUE(same_bits(out.read(), expected));
}

// Steps without rows launch nothing.
TEST_F(VectorOpsCuda, NoRows) {
  const OnCard<float> x(8);
  const OnCard<int32_t> rows(1);
  add_rows(*gpu, matrix(x, 0, 8), matrix(x, 0, 8));
  gather_rows(*gpu, matrix(x, 1, 8), rows.data(), matrix(x, 0, 8));
  choose(*gpu, matrix(x, 0, 8), {});
  next_tokens(*gpu, nullptr, nullptr, 0);
  EXPECT_TRUE(gpu->wait().ok());
}

}  // namespace
}  // namespace shoehorn
