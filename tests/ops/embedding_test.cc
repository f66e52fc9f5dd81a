#include "ops/embedding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tensor/dtype.h"
#include "tests/ops/every_isa.h"

namespace shoehorn {
namespace {

// Plain formats: exactly the table's numbers. m of 40 rows is past the serial threshold.
TEST(Embedding, RowsOfPlainTables) {
  Random random(21);
  constexpr int64_t kRows = 50, kColumns = 257;
  const std::vector<float> values = random_floats(random, kRows * kColumns, -2.0f, 2.0f);
  std::vector<uint16_t> f16, bf16;
  for (const float value : values) {
    f16.push_back(float_to_f16(value));
    bf16.push_back(float_to_bf16(value));
  }
  std::vector<int32_t> tokens = {49, 0, 7, 7};
  while (tokens.size() < 40) tokens.push_back(static_cast<int32_t>(random.below(kRows)));
  for (const size_t m : {size_t{1}, size_t{4}, tokens.size()}) {
    const std::span<const int32_t> some(tokens.data(), m);
    ThreadPool pool(3);
    std::vector<float> out(m * kColumns, std::nanf(""));
    const Tensor to = Tensor::matrix(out.data(), static_cast<int64_t>(m), kColumns);
    const auto check = [&](Format format, const void* data, auto value_of) {
      embedding(pool, {format, kRows, kColumns, static_cast<const std::byte*>(data)}, some, to);
      for (size_t i = 0; i < out.size(); ++i) {
        const size_t from = static_cast<size_t>(some[i / kColumns]) * kColumns + i % kColumns;
        ASSERT_EQ(out[i], value_of(from)) << i;
      }
    };
    check(kF32, values.data(), [&](size_t i) { return values[i]; });
    check(kF16, f16.data(), [&](size_t i) { return f16_to_float(f16[i]); });
    check(kBf16, bf16.data(), [&](size_t i) { return bf16_to_float(bf16[i]); });
  }
}

// A grouped table: what dequantize_row says of each row. Random codes with tame scales.
TEST(Embedding, RowsOfGroupedTables) {
  const Format format = {Storage::grouped, 4, 32, ScaleEncoding::f16, CodeMeaning::symmetric};
  ASSERT_TRUE(is_valid(format));
  constexpr int64_t kRows = 37, kColumns = 64;
  Random random(22);
  std::vector<uint16_t> data(static_cast<size_t>(size_bytes(format, kRows, kColumns)) / 2);
  for (uint16_t& half : data) half = static_cast<uint16_t>(random.below(0x3C00));
  const Weight table = {format, kRows, kColumns, reinterpret_cast<const std::byte*>(data.data())};
  const std::vector<int32_t> tokens = {36, 0, 15, 16, 31, 32};
  std::vector<float> out(tokens.size() * kColumns), row(kColumns);
  ThreadPool pool(2);
  embedding(pool, table, tokens, Tensor::matrix(out.data(), 6, kColumns));
  for (size_t i = 0; i < tokens.size(); ++i) {
    dequantize_row(table, tokens[i], row.data());
    EXPECT_EQ(std::memcmp(&out[i * kColumns], row.data(), kColumns * sizeof(float)), 0) << i;
  }
}

TEST(Embedding, Cost) {
  const Weight table = {kBf16, 100, 64, nullptr};
  EXPECT_EQ(embedding_cost(table, 3).bytes, 3 * 64 * (2 + 4));
}

TEST(EmbeddingDeathTest, TokenOutsideTheTable) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  std::vector<float> values(8), out(4);
  const Weight table = {kF32, 2, 4, reinterpret_cast<const std::byte*>(values.data())};
  ThreadPool pool(1);
  for (const int32_t token : {-1, 2}) {
    EXPECT_DEATH(embedding(pool, table, {&token, 1}, Tensor::matrix(out.data(), 1, 4)),
                 "of a table of 2");
  }
}

}  // namespace
}  // namespace shoehorn
