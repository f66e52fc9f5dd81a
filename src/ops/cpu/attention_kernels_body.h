// The attention kernel of one chunk of context, for any class Simd of vector operations.
//
// Bound by reading the cache in decode (a key is used by the few query heads of its group), by
// fused multiply-adds in prefill (by 32 query rows). One kernel serves both, so both give the same
// numbers: 32 tokens at a time are turned into floats in the first-level cache, keys transposed so
// that a lane is a token and a score needs no sum across lanes, and all query rows work from there.
// (Lanes along head_dim would save decode the transposition, which hides behind the reading, but
// cost prefill 45 instructions a 16 scores.) A score is one sum over head_dim in ascending order,
// an output one sum over tokens in ascending order, whatever block of rows computes it.
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

  // kLanes numbers, those from `count` on 0.
  template <typename Element, Floats (*kLoad)(const Element*)>
  static Floats load_part(const Element* from, int64_t count) {
    if (count >= kLanes) return kLoad(from);
    Element part[kLanes] = {};
    for (int64_t j = 0; j < count; ++j) part[j] = from[j];
    return kLoad(part);
  }

  // Where each of `count` tokens from `first` on begins, and the last one again to the tile's end.
  static void find_rows(const AttentionChunk& a, Side side, int64_t first, int64_t count,
                        const std::byte* (&rows)[kAttentionTile]) {
    const int64_t token_bytes = a.head_dim * (a.type == CacheType::f32 ? 4 : 2);
    const int64_t head = a.kv_head + (side == Side::values ? a.kv_heads : 0);
    int64_t page = first / a.page_tokens, slot = first % a.page_tokens;
    int64_t t = 0;
    while (t < count) {
      const std::byte* row = a.data + a.pages[page] * a.page_stride_bytes +
                             (head * a.page_tokens + slot) * token_bytes;
      const int64_t end = smaller(count, t + a.page_tokens - slot);
      for (; t < end; ++t, row += token_bytes) rows[t] = row;
      ++page;
      slot = 0;
    }
    for (; t < kAttentionTile; ++t) rows[t] = rows[count - 1];
  }

  // The pages are too short for the processor to foresee the next one.
  static void prefetch_rows(const AttentionChunk& a, Side side, int64_t first, int64_t count) {
    const std::byte* rows[kAttentionTile];
    find_rows(a, side, first, count, rows);
    const int64_t token_bytes = a.head_dim * (a.type == CacheType::f32 ? 4 : 2);
    for (int64_t t = 0; t < count; ++t) {
      for (int64_t i = 0; i < token_bytes; i += 64) Simd::prefetch(rows[t] + i);
    }
  }

  // tile[dim][token].
  template <typename Element, Floats (*kLoad)(const Element*)>
  static void load_transposed(const std::byte* const* rows, int64_t dim, float* tile) {
    for (int64_t t = 0; t < kAttentionTile; t += kLanes) {
      for (int64_t i = 0; i < dim; i += kLanes) {
        Floats x[kLanes];
        for (int64_t r = 0; r < kLanes; ++r) {
          const auto* row = reinterpret_cast<const Element*>(rows[t + r]);
          x[r] = load_part<Element, kLoad>(row + i, dim - i);
        }
        Simd::transpose(x);
        for (int64_t r = 0; r < kLanes; ++r) Simd::store(tile + (i + r) * kAttentionTile + t, x[r]);
      }
    }
  }

  // tile[token][padded_dim].
  template <typename Element, Floats (*kLoad)(const Element*)>
  static void load_straight(const std::byte* const* rows, int64_t count, int64_t dim,
                            int64_t padded_dim, float* tile) {
    for (int64_t t = 0; t < count; ++t, tile += padded_dim) {
      const auto* row = reinterpret_cast<const Element*>(rows[t]);
      for (int64_t i = 0; i < padded_dim; i += kLanes) {
        Simd::store(tile + i, load_part<Element, kLoad>(row + i, dim - i));
      }
    }
  }

  template <typename Element, Floats (*kLoad)(const Element*)>
  static void load_tile_of(const AttentionChunk& a, Side side, const std::byte* const* rows,
                           int64_t count) {
    if (side == Side::keys) {
      load_transposed<Element, kLoad>(rows, a.head_dim, a.tile);
    } else {
      load_straight<Element, kLoad>(rows, count, a.head_dim, a.padded_dim, a.tile);
    }
  }

  // Tokens from `first` of the chunk on into the tile.
  static void load_tile(const AttentionChunk& a, Side side, int64_t first) {
    const int64_t count = smaller(kAttentionTile, a.token_count - first);
    const int64_t next = first + kAttentionTile;
    if (next < a.token_count) {
      prefetch_rows(a, side, a.first_token + next, smaller(kAttentionTile, a.token_count - next));
    }
    const std::byte* rows[kAttentionTile];
    find_rows(a, side, a.first_token + first, count, rows);
    switch (a.type) {
      case CacheType::f32:
        return load_tile_of<float, load_element>(a, side, rows, count);
      case CacheType::f16:
        return load_tile_of<uint16_t, Simd::load_f16>(a, side, rows, count);
      case CacheType::bf16:
        return load_tile_of<uint16_t, Simd::load_bf16>(a, side, rows, count);
    }
  }

  // scores[q][t] = queries[q] . key t, for kQueries rows and all tokens of the tile (those beyond
  // the chunk's end repeat its last, and their scores are not read).
  template <int kQueries>
  static void score_block(const AttentionChunk& a, int64_t q, int64_t first) {
    // Few rows take more keys at a time, for enough independent sums.
    constexpr int kVectors =
        kQueries > 2 ? Simd::kScoreVectors : static_cast<int>(smaller(4, kAttentionTile / kLanes));
    const float* queries = a.queries + q * a.padded_dim;
    for (int64_t t = 0; t < kAttentionTile; t += kVectors * kLanes) {
      Floats x[kQueries][kVectors];
      for (int r = 0; r < kQueries; ++r) {
        for (int v = 0; v < kVectors; ++v) x[r][v] = Simd::zero();
      }
      const float* keys = a.tile + t;
      for (int64_t i = 0; i < a.head_dim; ++i, keys += kAttentionTile) {
        Floats key[kVectors];
        for (int v = 0; v < kVectors; ++v) key[v] = Simd::load(keys + v * kLanes);
        for (int r = 0; r < kQueries; ++r) {
          const Floats query = Simd::broadcast(queries[r * a.padded_dim + i]);
          for (int v = 0; v < kVectors; ++v) x[r][v] = Simd::multiply_add(query, key[v], x[r][v]);
        }
      }
      float* scores = a.scores + q * kAttentionScores + first + t;
      for (int r = 0; r < kQueries; ++r) {
        for (int v = 0; v < kVectors; ++v) {
          Simd::store(scores + r * kAttentionScores + v * kLanes, x[r][v]);
        }
      }
    }
  }

  // visit.operator()<n>(first row) for blocks of kBlock rows, then for what remains of `count`.
  template <int kBlock, typename Visit>
  static void in_blocks(int64_t count, const Visit& visit) {
    int64_t q = 0;
    for (; q + kBlock <= count; q += kBlock) visit.template operator()<kBlock>(q);
    for (; q + 4 <= count; q += 4) visit.template operator()<4>(q);
    switch (count - q) {
      case 3:
        return visit.template operator()<3>(q);
      case 2:
        return visit.template operator()<2>(q);
      case 1:
        return visit.template operator()<1>(q);
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

  // weighted[q] += sum over tokens [begin, end) of weights[q][t] * tile[t], on columns from
  // `column` on as far as whole blocks of kVectors vectors reach; returns where they ended.
  template <int kQueries, int kVectors>
  static int64_t weigh_columns(const AttentionChunk& a, int64_t q, const float* weights,
                               int64_t begin, int64_t end, int64_t column) {
    const int64_t dim = a.padded_dim;
    for (; column + kVectors * kLanes <= dim; column += kVectors * kLanes) {
      float* out = a.weighted + q * dim + column;
      Floats x[kQueries][kVectors];
      for (int r = 0; r < kQueries; ++r) {
        for (int v = 0; v < kVectors; ++v) x[r][v] = Simd::load(out + r * dim + v * kLanes);
      }
      const float* values = a.tile + begin * dim + column;
      for (int64_t t = begin; t < end; ++t, values += dim) {
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
    return column;
  }

  template <int kQueries, int kVectors>
  static void weigh(const AttentionChunk& a, int64_t q, int64_t first, int64_t begin, int64_t end) {
    if (begin >= end) return;
    const float* weights = a.scores + q * kAttentionScores + first;
    int64_t column = weigh_columns<kQueries, kVectors>(a, q, weights, begin, end, 0);
    if constexpr (kVectors > 2) {
      column = weigh_columns<kQueries, 2>(a, q, weights, begin, end, column);
    }
    weigh_columns<kQueries, 1>(a, q, weights, begin, end, column);
  }

  // Rows of a block end at different tokens only at the causal edge: together as far as all of them
  // reach, then one by one.
  template <int kQueries>
  static void weigh_block(const AttentionChunk& a, int64_t q, int64_t first) {
    constexpr int kVectors = kQueries > 2 ? Simd::kValueVectors : 2 * Simd::kValueVectors;
    int64_t ends[kQueries];
    int64_t common = kAttentionTile;
    for (int r = 0; r < kQueries; ++r) {
      const int64_t left = a.limits[q + r] - first;
      ends[r] = left < 0 ? 0 : smaller(left, kAttentionTile);
      common = smaller(common, ends[r]);
    }
    weigh<kQueries, kVectors>(a, q, first, 0, common);
    if constexpr (kQueries > 1) {
      for (int r = 0; r < kQueries; ++r) {
        weigh<1, 2 * Simd::kValueVectors>(a, q + r, first, common, ends[r]);
      }
    }
  }

  static void chunk(const AttentionChunk& a) {
    for (int64_t t = 0; t < a.token_count; t += kAttentionTile) {
      load_tile(a, Side::keys, t);
      in_blocks<Simd::kScoreQueries>(
          a.query_count, [&]<int kQueries>(int64_t q) { score_block<kQueries>(a, q, t); });
    }
    for (int64_t q = 0; q < a.query_count; ++q) {
      softmax(a.scores + q * kAttentionScores, a.limits[q], a.maxima + q, a.sums + q);
    }
    for (int64_t i = 0; i < a.query_count * a.padded_dim; i += kLanes) {
      Simd::store(a.weighted + i, Simd::zero());
    }
    for (int64_t t = 0; t < a.token_count; t += kAttentionTile) {
      load_tile(a, Side::values, t);
      in_blocks<Simd::kValueQueries>(
          a.query_count, [&]<int kQueries>(int64_t q) { weigh_block<kQueries>(a, q, t); });
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
