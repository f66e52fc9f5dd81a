// The kernels of grouped weights over a class V of vector operations (linear_avx2.cc,
// linear_vnni512.h).
//
// For few rows DRAM bounds them: a block of 16 x 32 weights of 4 bits is 256 bytes of codes, and a
// vector machine spends about 12 instructions on it plus 12 for each activation row: 8 products of
// quads, one conversion, one scale, two fused multiply-adds. A vector lane is a weight row, so
// integer sums need no shuffles. Unpacked codes stay in registers for up to 8 activation rows
// (everything is unrolled for that: an array that a loop indexes would live in memory); the tile
// stays in L2 for the next 8.
#pragma once

#include <cstring>
#include <type_traits>

#include "ops/cpu/linear_kernels.h"

namespace shoehorn {

// How codes unpack: their number of bits, or the code book.
enum class Unpacking : int { u2 = 2, u3 = 3, u4 = 4, u5 = 5, u6 = 6, u8 = 8, iq4nl = 9 };

// Calls body(0) .. body(N - 1) with compile-time arguments.
template <int N, typename Body>
[[gnu::always_inline]] inline void unrolled(const Body& body) {
  if constexpr (N > 0) {
    unrolled<N - 1>(body);
    body(std::integral_constant<int, N - 1>{});
  }
}

template <typename V>
struct GroupedBody {
  using Floats = typename V::Floats;
  using Codes = typename V::Codes;

  // scale, and c of linear.h: what a group's sum(xq) is multiplied with.
  struct Scales {
    Floats scale, correction;
  };

  // What is to be taken from unpacked codes to get the number that the scale multiplies: the middle
  // code of symmetric formats (128 for the code book, whose entries unpack as T + 128).
  template <Unpacking U>
  static constexpr float kMiddle = U == Unpacking::iq4nl ? 128 : 1 << (static_cast<int>(U) - 1);

  static Scales header_scales(const std::byte* header, int64_t first_row, bool has_minimum) {
    const auto* halves = reinterpret_cast<const uint16_t*>(header) + first_row;
    return {V::load_f16(halves), has_minimum ? V::load_f16(halves + kTileRows) : V::zero()};
  }

  // The scales of group g of a block, from the header's and the block's own bytes.
  template <Unpacking U>
  static Scales group_scales(const Format& format, const Scales& header, const std::byte* bytes,
                             int64_t g, int64_t first_row) {
    const bool has_minimum = format.has_minimum();
    Scales scales = header;
    if (format.scale == ScaleEncoding::two_level_packed4) {
      const std::byte* packed = bytes + g * kTileRows + first_row;
      scales = {V::multiply(header.scale, V::load_low_nibbles(packed)),
                V::multiply(header.correction, V::load_high_nibbles(packed))};
    } else if (format.scale == ScaleEncoding::two_level) {
      const std::byte* s = bytes + g * kTileRows * (has_minimum ? 2 : 1) + first_row;
      scales.scale = V::multiply(header.scale, V::load_i8(s));
      if (has_minimum) {
        scales.correction = V::multiply(header.correction, V::load_i8(s + kTileRows));
      }
    }
    if (!has_minimum) scales.correction = V::multiply(scales.scale, V::broadcast(-kMiddle<U>));
    return scales;
  }

  // Activation rows at one block of columns; rows lie a.columns codes, or as many blocks, apart.
  struct BlockInput {
    const int8_t* codes;
    const float* scales;
    const float* group_sums;
  };

  // One block for M activation rows: rows [first_row, first_row + V::kRows) of the tile, G groups.
  template <Unpacking U, int G, int M>
  [[gnu::always_inline]] static inline void block(const GroupedArguments& a, const Scales& header,
                                                  const std::byte* at, int64_t first_row,
                                                  const BlockInput& x, Floats (&sums)[M]) {
    constexpr int kQuads = 8 / G;
    const int64_t blocks = a.columns / kBlockColumns;
    Codes codes[8];
    V::template unpack<U>(at + block_scale_bytes(*a.format), first_row, codes);
    unrolled<G>([&](auto g) {
      const Scales group = group_scales<U>(*a.format, header, at, g, first_row);
      unrolled<M>([&](auto i) {
        const auto dots = V::template dot<U, kQuads>(codes + g * kQuads,
                                                     x.codes + i * a.columns + g * kQuads * 4);
        const Floats scale = V::multiply(group.scale, V::broadcast(x.scales[i * blocks]));
        sums[i] = V::multiply_add(V::to_floats(dots), scale, sums[i]);
        sums[i] = V::multiply_add(group.correction, V::broadcast(x.group_sums[i * blocks * G + g]),
                                  sums[i]);
      });
    });
  }

  template <Unpacking U, int G, int M>
  static void block_rows(const GroupedArguments& a, int64_t row, int64_t first_row) {
    const Format& format = *a.format;
    const bool has_minimum = format.has_minimum();
    const int64_t section_blocks = header_columns(format) / kBlockColumns;
    const int64_t block_bytes = block_scale_bytes(format) + block_code_bytes(format);
    const int64_t blocks = a.columns / kBlockColumns;
    const int8_t* x = a.codes + row * a.columns;
    const float* scales = a.scales + row * blocks;
    const float* group_sums = a.group_sums + row * blocks * G;

    Floats sums[M];
    unrolled<M>([&](auto i) { sums[i] = V::zero(); });
    const std::byte* at = a.tile;
    for (int64_t b = 0; b < blocks;) {
      const Scales header = header_scales(at, first_row, has_minimum);
      at += header_bytes(format);
      for (const int64_t end = b + section_blocks; b < end; ++b) {
        V::prefetch(at + kPrefetchBytes);
        block<U, G, M>(a, header, at, first_row,
                       {x + b * kBlockColumns, scales + b, group_sums + b * G}, sums);
        at += block_bytes;
      }
    }
    unrolled<M>([&](auto i) { V::store(a.sums + (row + i) * kTileRows + first_row, sums[i]); });
  }
  static constexpr int64_t kPrefetchBytes = 2048;  // DRAM latency at 20 GB/s a core

  template <Unpacking U, int G, int M>
  static void tile_rows(const GroupedArguments& a, int64_t row) {
    for (int64_t first = 0; first < kTileRows; first += V::kRows)
      block_rows<U, G, M>(a, row, first);
  }

  template <Unpacking U, int G>
  static void all_rows(const GroupedArguments& a) {
    int64_t row = 0;
    for (; row + V::kActivationRows <= a.m; row += V::kActivationRows) {
      tile_rows<U, G, V::kActivationRows>(a, row);
    }
    if constexpr (V::kActivationRows > 4) {
      if (a.m - row >= 4) tile_rows<U, G, 4>(a, row), row += 4;
    }
    if (a.m - row >= 2) tile_rows<U, G, 2>(a, row), row += 2;
    if (a.m - row >= 1) tile_rows<U, G, 1>(a, row);
  }

  template <Unpacking U>
  static void grouped_as(const GroupedArguments& a) {
    groups_in_block(*a.format) == 2 ? all_rows<U, 2>(a) : all_rows<U, 1>(a);
  }

  static void grouped(const GroupedArguments& a) {
    if (a.format->meaning == CodeMeaning::iq4nl) return grouped_as<Unpacking::iq4nl>(a);
    switch (a.format->bits) {
      case 2:
        return grouped_as<Unpacking::u2>(a);
      case 3:
        return grouped_as<Unpacking::u3>(a);
      case 4:
        return grouped_as<Unpacking::u4>(a);
      case 5:
        return grouped_as<Unpacking::u5>(a);
      case 6:
        return grouped_as<Unpacking::u6>(a);
      case 8:
        return grouped_as<Unpacking::u8>(a);
    }
  }
};

}  // namespace shoehorn
