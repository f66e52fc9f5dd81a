// Attention problems for tests and benchmarks: a paged cache with scattered pages, filled with
// random keys and values; one table of shapes.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "ops/attention.h"

namespace shoehorn {

struct SpanShape {
  int64_t first_position = 0;
  int64_t row_count = 1;
};

struct AttentionShape {
  int64_t heads = 1, kv_heads = 1, head_dim = 64;
  DType dtype = DType::f16;
  int64_t page_tokens = 16;
  std::vector<SpanShape> spans;

  std::string name() const {
    std::string text = std::to_string(heads) + "/" + std::to_string(kv_heads) + " heads of " +
                       std::to_string(head_dim) + ", " + shoehorn::name(dtype) + ", pages of " +
                       std::to_string(page_tokens) + ":";
    for (const SpanShape& span : spans) {
      text +=
          " " + std::to_string(span.row_count) + " rows at " + std::to_string(span.first_position);
    }
    return text;
  }
};

// Contexts on both sides of the chunk's ends, grouped heads and not, padded dimensions, pages that
// do and do not divide a chunk, rows that straddle chunks, several sequences in one call.
inline std::vector<AttentionShape> attention_shapes() {
  return {
      {1, 1, 3, DType::f32, 16, {{0, 1}}},
      {1, 1, 3, DType::f16, 16, {{0, 5}, {254, 4}}},
      {9, 3, 64, DType::f16, 16, {{0, 1}}},
      {9, 3, 64, DType::f16, 64, {{254, 1}}},
      {9, 3, 64, DType::bf16, 16, {{255, 1}}},
      {9, 3, 64, DType::f16, 16, {{256, 1}}},
      {9, 3, 64, DType::f16, 16, {{999, 1}}},
      {9, 3, 64, DType::f16, 16, {{4096, 1}}},
      {9, 3, 64, DType::f16, 48, {{0, 37}, {250, 12}, {999, 1}}},
      {32, 8, 128, DType::f16, 16, {{1000, 3}, {0, 1}, {256, 1}}},
      {32, 8, 128, DType::bf16, 64, {{4096, 1}}},
      {64, 8, 128, DType::f16, 16, {{257, 9}}},
      {4, 4, 80, DType::f32, 16, {{0, 257}}},
      {4, 4, 80, DType::bf16, 7, {{300, 70}}},
      {2, 2, 128, DType::f16, 16, {{4080, 32}}},
      {70, 1, 24, DType::f16, 16, {{511, 3}}},
  };
}

struct AttentionProblem {
  AttentionShape shape;
  int64_t m = 0;
  std::vector<std::vector<int32_t>> tables;
  std::vector<std::byte> cache;
  KvLayer layer;
  std::vector<float> q;  // [m, heads, head_dim]
  std::vector<AttentionSpan> spans;
  float scale = 0.3f;

  // Slots of no token hold NaNs, so that reading one shows.
  explicit AttentionProblem(AttentionShape of, uint64_t seed = 1) : shape(std::move(of)) {
    Random random(seed);
    int64_t page_count = 0;
    for (const SpanShape& span : shape.spans) {
      const int64_t context = span.first_position + span.row_count;
      const int64_t pages = (context + shape.page_tokens - 1) / shape.page_tokens;
      tables.emplace_back();
      for (int64_t i = 0; i < pages; ++i) {
        tables.back().push_back(static_cast<int32_t>(page_count++));
      }
    }
    std::vector<int32_t*> entries;
    for (auto& table : tables) {
      for (int32_t& page : table) entries.push_back(&page);
    }
    for (size_t i = entries.size(); i > 1; --i) {
      std::swap(*entries[i - 1], *entries[random.below(i)]);
    }
    layer = {.dtype = shape.dtype,
             .page_tokens = shape.page_tokens,
             .kv_heads = shape.kv_heads,
             .head_dim = shape.head_dim};
    layer.page_stride_bytes = (layer.page_bytes() + 63) / 64 * 64 + 64;
    cache.assign(static_cast<size_t>(page_count * layer.page_stride_bytes + 64), std::byte{0xFF});
    const auto address = reinterpret_cast<uintptr_t>(cache.data());
    layer.data = cache.data() + (64 - address % 64) % 64;
    fill(random);
  }

  Tensor heads_of(std::vector<float>& values, int64_t heads) const {
    const auto count = static_cast<int64_t>(values.size());
    const int64_t row = heads * shape.head_dim;
    return {values.data(),
            DType::f32,
            3,
            {count / row, heads, shape.head_dim},
            {row, shape.head_dim, 1}};
  }

 private:
  void fill(Random& random) {
    ThreadPool pool(1);
    for (size_t s = 0; s < shape.spans.size(); ++s) {
      const SpanShape& span = shape.spans[s];
      const int64_t context = span.first_position + span.row_count;
      const int64_t numbers = context * shape.kv_heads * shape.head_dim;
      std::vector<float> k(static_cast<size_t>(numbers)), v(k.size());
      for (float& x : k) x = random.uniform(-1.0f, 1.0f);
      for (float& x : v) x = random.uniform(-1.0f, 1.0f);
      const AttentionSpan whole = {0, context, 0, tables[s].data()};
      kv_append(pool, layer, heads_of(k, shape.kv_heads), heads_of(v, shape.kv_heads), {&whole, 1});
      spans.push_back({m, span.row_count, span.first_position, tables[s].data()});
      m += span.row_count;
    }
    q.resize(static_cast<size_t>(m * shape.heads * shape.head_dim));
    for (float& x : q) x = random.uniform(-1.0f, 1.0f);
  }
};

}  // namespace shoehorn
