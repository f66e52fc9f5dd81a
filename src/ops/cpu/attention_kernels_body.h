// The attention kernel of one chunk of context, for any class Simd of vector operations.
//
// Bound by reading the cache in decode (a key is used by the few query heads of its group), by
// fused multiply-adds in prefill (by 32 query rows). One kernel serves both, so both give the same
// numbers: 16 tokens of keys at a time are turned into floats in the first-level cache, and all
// query rows take their scores from there; after the soft-max of the chunk the values go the same
// way. A query row's score is one sum over head_dim in kLanes lanes, its output one sum over tokens
// in ascending order, whatever the block of rows it is computed in.
//
// Included by files compiled for an instruction set: all functions are members of a template over
// Simd, and nothing of the standard library that has a body is used.
#pragma once

#include <cstdint>

#include "ops/cpu/vector_kernels.h"
#include "ops/cpu/vector_kernels_body.h"

namespace shoehorn {

template <typename Simd>
struct AttentionKernel {
  using Floats = typename Simd::Floats;
  static constexpr int64_t kLanes = Simd::kLanes;
  static_assert(kAttentionPadding % kLanes == 0 && kAttentionScores % kLanes == 0);

  enum class Side : uint8_t { keys, values };

  static constexpr int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

  static Floats load_element(const float* p) { return Simd::load(p); }

  // `count` tokens of `dim` numbers from consecutive slots as floats, rows padded with zeros.
  template <typename Element, Floats (*kLoad)(const Element*)>
  static void convert(const Element* from, int64_t count, int64_t dim, int64_t padded_dim,
                      float* to) {
    const int64_t whole = dim / kLanes * kLanes;
    for (int64_t t = 0; t < count; ++t, from += dim, to += padded_dim) {
      for (int64_t i = 0; i < whole; i += kLanes) Simd::store(to + i, kLoad(from + i));
      if (whole == padded_dim) continue;
      for (int64_t i = whole; i < padded_dim; i += kLanes) {
        Element last[kLanes] = {};
        for (int64_t j = 0; j < kLanes && i + j < dim; ++j) last[j] = from[i + j];
        Simd::store(to + i, kLoad(last));
      }
    }
  }

  // Tokens [first, first + count) of the context into the tile, run of slots by run of slots.
  static void load_tile(const AttentionChunk& a, Side side, int64_t first, int64_t count) {
    const int64_t element_bytes = a.type == CacheType::f32 ? 4 : 2;
    const int64_t head_bytes = a.page_tokens * a.head_dim * element_bytes;
    const int64_t head = a.kv_head + (side == Side::values ? a.kv_heads : 0);
    float* to = a.tile;
    while (count > 0) {
      const int64_t page = first / a.page_tokens;
      const int64_t slot = first - page * a.page_tokens;
      const int64_t run = smaller(count, a.page_tokens - slot);
      const std::byte* from = a.data + a.pages[page] * a.page_stride_bytes + head * head_bytes +
                              slot * a.head_dim * element_bytes;
      const auto* halves = reinterpret_cast<const uint16_t*>(from);
      switch (a.type) {
        case CacheType::f32:
          convert<float, load_element>(reinterpret_cast<const float*>(from), run, a.head_dim,
                                       a.padded_dim, to);
          break;
        case CacheType::f16:
          convert<uint16_t, Simd::load_f16>(halves, run, a.head_dim, a.padded_dim, to);
          break;
        case CacheType::bf16:
          convert<uint16_t, Simd::load_bf16>(halves, run, a.head_dim, a.padded_dim, to);
          break;
      }
      to += run * a.padded_dim;
      first += run;
      count -= run;
    }
  }

  // scores[q][t] = queries[q] . tile[t] for kQueries rows and all tokens of the tile (those beyond
  // the chunk's end hold leftovers, and their scores are not read).
  template <int kQueries>
  static void score_block(const float* queries, const float* tile, int64_t dim, float* scores) {
    constexpr int kBlock = Simd::kQueryBlock;
    for (int64_t t = 0; t < kAttentionTile; t += 4) {
      const float* keys = tile + t * dim;
      Floats x[kBlock][4];
      for (int q = 0; q < kQueries; ++q) {
        for (int k = 0; k < 4; ++k) x[q][k] = Simd::zero();
      }
      for (int64_t i = 0; i < dim; i += kLanes) {
        Floats key[4];
        for (int k = 0; k < 4; ++k) key[k] = Simd::load(keys + k * dim + i);
        for (int q = 0; q < kQueries; ++q) {
          const Floats query = Simd::load(queries + q * dim + i);
          for (int k = 0; k < 4; ++k) x[q][k] = Simd::multiply_add(query, key[k], x[q][k]);
        }
      }
      if constexpr (kQueries == 1) {
        for (int k = 0; k < 4; ++k) scores[t + k] = Simd::sum(x[0][k]);
      } else {
        float* out[kBlock];
        for (int q = 0; q < kBlock; ++q) {
          const int from = q < kQueries ? q : kQueries - 1;
          out[q] = scores + from * kAttentionScores + t;
          for (int k = 0; k < 4; ++k) x[q][k] = x[from][k];
        }
        Simd::store_sums(x, out);
      }
    }
  }

  static void score_tile(const AttentionChunk& a, int64_t first) {
    constexpr int64_t kBlock = Simd::kQueryBlock;
    for (int64_t q = 0; q < a.query_count; q += kBlock) {
      const float* queries = a.queries + q * a.padded_dim;
      float* scores = a.scores + q * kAttentionScores + first;
      const int64_t rows = smaller(kBlock, a.query_count - q);
      if (rows == kBlock) {
        score_block<kBlock>(queries, a.tile, a.padded_dim, scores);
      } else if (rows == 1) {
        score_block<1>(queries, a.tile, a.padded_dim, scores);
      } else if (rows == 2) {
        score_block<smaller(2, kBlock)>(queries, a.tile, a.padded_dim, scores);
      } else {
        score_block<smaller(3, kBlock)>(queries, a.tile, a.padded_dim, scores);
      }
    }
  }

  // The first n scores become exp(score - maximum).
  static void softmax(float* scores, int64_t n, float* maximum, float* sum) {
    const Floats lowest = Simd::broadcast(-__builtin_inff());
    Floats best = lowest;
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) best = Simd::max(best, Simd::load(scores + i));
    if (i < n) best = Simd::max(best, Simd::keep(Simd::load(scores + i), n - i, lowest));
    *maximum = Simd::largest(best);

    const Floats shift = Simd::broadcast(*maximum);
    Floats total = Simd::zero();
    for (i = 0; i < n; i += kLanes) {
      Floats p = exponential<Simd>(Simd::subtract(Simd::load(scores + i), shift));
      if (n - i < kLanes) p = Simd::keep(p, n - i, Simd::zero());
      Simd::store(scores + i, p);
      total = Simd::add(total, p);
    }
    *sum = n > 0 ? Simd::sum(total) : 0.0f;
  }

  // weighted[q] += sum over `count` tokens of weights[q][t] * tile[t], on columns [begin, end) as
  // far as whole blocks of kVectors vectors reach; returns where they ended.
  template <int kQueries, int kVectors>
  static int64_t weigh_columns(const AttentionChunk& a, int64_t q, int64_t first, int64_t count,
                               int64_t begin) {
    const int64_t dim = a.padded_dim;
    const float* weights = a.scores + q * kAttentionScores + first;
    for (; begin + kVectors * kLanes <= dim; begin += kVectors * kLanes) {
      float* out = a.weighted + q * dim + begin;
      Floats x[kQueries][kVectors];
      for (int r = 0; r < kQueries; ++r) {
        for (int v = 0; v < kVectors; ++v) x[r][v] = Simd::load(out + r * dim + v * kLanes);
      }
      const float* values = a.tile + begin;
      for (int64_t t = 0; t < count; ++t, values += dim) {
        Floats value[kVectors];
        for (int v = 0; v < kVectors; ++v) value[v] = Simd::load(values + v * kLanes);
        for (int r = 0; r < kQueries; ++r) {
          const Floats weight = Simd::broadcast(weights[r * kAttentionScores + t]);
          for (int v = 0; v < kVectors; ++v)
            x[r][v] = Simd::multiply_add(weight, value[v], x[r][v]);
        }
      }
      for (int r = 0; r < kQueries; ++r) {
        for (int v = 0; v < kVectors; ++v) Simd::store(out + r * dim + v * kLanes, x[r][v]);
      }
    }
    return begin;
  }

  template <int kQueries, int kVectors>
  static void weigh(const AttentionChunk& a, int64_t q, int64_t first, int64_t count) {
    int64_t done = weigh_columns<kQueries, kVectors>(a, q, first, count, 0);
    if constexpr (kVectors > 2) done = weigh_columns<kQueries, 2>(a, q, first, count, done);
    weigh_columns<kQueries, 1>(a, q, first, count, done);
  }

  // Rows of a block end at different tokens only at the causal edge; there they go one by one.
  static void weigh_tile(const AttentionChunk& a, int64_t first) {
    constexpr int64_t kBlock = 4;
    for (int64_t q = 0; q < a.query_count; q += kBlock) {
      int64_t counts[kBlock];
      bool equal = q + kBlock <= a.query_count;
      for (int64_t r = 0; r < kBlock && q + r < a.query_count; ++r) {
        const int64_t left = a.limits[q + r] - first;
        counts[r] = left < 0 ? 0 : smaller(left, kAttentionTile);
        equal = equal && counts[r] == counts[0];
      }
      if (equal) {
        weigh<kBlock, Simd::kVectorBlock>(a, q, first, counts[0]);
        continue;
      }
      for (int64_t r = 0; r < kBlock && q + r < a.query_count; ++r) {
        weigh<1, 2 * Simd::kVectorBlock>(a, q + r, first, counts[r]);
      }
    }
  }

  static void chunk(const AttentionChunk& a) {
    for (int64_t t = 0; t < a.token_count; t += kAttentionTile) {
      load_tile(a, Side::keys, a.first_token + t, smaller(kAttentionTile, a.token_count - t));
      score_tile(a, t);
    }
    for (int64_t q = 0; q < a.query_count; ++q) {
      softmax(a.scores + q * kAttentionScores, a.limits[q], a.maxima + q, a.sums + q);
    }
    for (int64_t i = 0; i < a.query_count * a.padded_dim; i += kLanes) {
      Simd::store(a.weighted + i, Simd::zero());
    }
    for (int64_t t = 0; t < a.token_count; t += kAttentionTile) {
      load_tile(a, Side::values, a.first_token + t, smaller(kAttentionTile, a.token_count - t));
      weigh_tile(a, t);
    }
  }

  // exp of one number, by the same polynomial as the chunk's.
  static float scalar_exponential(float x) {
    float lanes[kLanes];
    Simd::store(lanes, exponential<Simd>(Simd::broadcast(x)));
    return lanes[0];
  }

  static void merge(const AttentionPartial& into, const AttentionPartial& from,
                    int64_t padded_dim) {
    if (*from.sum == 0) return;
    const bool first = *into.sum == 0;
    const float maximum = first || *from.maximum > *into.maximum ? *from.maximum : *into.maximum;
    const float old_factor = first ? 0.0f : scalar_exponential(*into.maximum - maximum);
    const float new_factor = scalar_exponential(*from.maximum - maximum);
    *into.maximum = maximum;
    *into.sum = (first ? 0.0f : *into.sum * old_factor) + *from.sum * new_factor;
    const Floats old_factors = Simd::broadcast(old_factor);
    const Floats new_factors = Simd::broadcast(new_factor);
    for (int64_t i = 0; i < padded_dim; i += kLanes) {
      const Floats kept =
          first ? Simd::zero() : Simd::multiply(Simd::load(into.weighted + i), old_factors);
      Simd::store(into.weighted + i,
                  Simd::multiply_add(Simd::load(from.weighted + i), new_factors, kept));
    }
  }
};

}  // namespace shoehorn
