// Plain weights (f32, f16, bf16) times float rows, and the rounding of activations, over a class V
// of 16-lane operations (simd_avx2.h, simd_avx512.h).
//
// A product sum is one vector accumulator per (weight row, activation row): the same additions
// whatever the tile. A tile of R x M accumulators reads each weight vector once for M rows; R x M
// >= 8 hides the latency of the additions.
#pragma once

#include <cmath>
#include <cstring>

#include "ops/cpu/linear_kernels.h"

namespace shoehorn {

template <typename V>
struct PlainBody {
  using Floats = typename V::Floats;
  static constexpr int64_t kLanes = V::kLanes;

  template <Storage S>
  static Floats load_weight(const std::byte* row, int64_t column) {
    if constexpr (S == Storage::f32) return V::load(reinterpret_cast<const float*>(row) + column);
    const auto* halves = reinterpret_cast<const uint16_t*>(row) + column;
    return S == Storage::f16 ? V::load_f16(halves) : V::load_bf16(halves);
  }
  // The last columns, fewer than a vector: zeros behind them.
  template <Storage S>
  static Floats load_weight_end(const std::byte* row, int64_t column, int64_t count) {
    if constexpr (S == Storage::f32) {
      return V::load(reinterpret_cast<const float*>(row) + column, count);
    }
    uint16_t halves[kLanes] = {};
    std::memcpy(halves, row + column * 2, static_cast<size_t>(count) * 2);
    return S == Storage::f16 ? V::load_f16(halves) : V::load_bf16(halves);
  }

  template <Storage S, int R, int M>
  static void tile(const PlainArguments& a, int64_t first_row, int64_t first_x) {
    const int64_t row_bytes = a.columns * (S == Storage::f32 ? 4 : 2);
    const std::byte* weight = a.weight + first_row * row_bytes;
    const float* x = a.x + first_x * a.x_stride;
    Floats sums[R][M];
    for (int r = 0; r < R; ++r) {
      for (int i = 0; i < M; ++i) sums[r][i] = V::zero();
    }
    int64_t c = 0;
    for (; c + kLanes <= a.columns; c += kLanes) {
      Floats rows[M];
      for (int i = 0; i < M; ++i) rows[i] = V::load(x + i * a.x_stride + c);
      for (int r = 0; r < R; ++r) {
        const Floats w = load_weight<S>(weight + r * row_bytes, c);
        for (int i = 0; i < M; ++i) sums[r][i] = V::multiply_add(w, rows[i], sums[r][i]);
      }
    }
    if (c < a.columns) {
      const int64_t count = a.columns - c;
      for (int r = 0; r < R; ++r) {
        const Floats w = load_weight_end<S>(weight + r * row_bytes, c, count);
        for (int i = 0; i < M; ++i) {
          sums[r][i] = V::multiply_add(w, V::load(x + i * a.x_stride + c, count), sums[r][i]);
        }
      }
    }
    for (int r = 0; r < R; ++r) {
      for (int i = 0; i < M; ++i) {
        a.sums[(first_x + i) * kTileRows + first_row + r] = V::sum(sums[r][i]);
      }
    }
  }

  template <Storage S, int M>
  static void all_rows(const PlainArguments& a, int64_t first_x) {
    // 8 or 16 accumulators; with 8 lanes there are only 16 registers.
    constexpr int kRows = M == 1 ? 8 : kLanes == 16 ? 4 : 2;
    int64_t r = 0;
    for (; r + kRows <= a.rows; r += kRows) tile<S, kRows, M>(a, r, first_x);
    for (; r < a.rows; ++r) tile<S, 1, M>(a, r, first_x);
  }

  template <Storage S>
  static void plain_as(const PlainArguments& a) {
    int64_t i = 0;
    for (; i + 4 <= a.m; i += 4) all_rows<S, 4>(a, i);
    for (; i < a.m; ++i) all_rows<S, 1>(a, i);
  }

  static void plain(const PlainArguments& a) {
    switch (a.storage) {
      case Storage::f32:
        return plain_as<Storage::f32>(a);
      case Storage::f16:
        return plain_as<Storage::f16>(a);
      default:
        return plain_as<Storage::bf16>(a);
    }
  }
};

}  // namespace shoehorn
