// The kernels of linear_kernels.h over a class V of vector operations (linear_avx2.h,
// linear_avx512.h).
//
// Grouped: bounded by DRAM for few rows: per block of 16 x 32 weights of 4 bits, 256 bytes of
// codes, a vector machine spends about 25 instructions. Unpacked codes stay in registers for up to
// 8 activation rows; the tile stays in L2 for the next 8. A vector lane is a weight row, so integer
// sums need no shuffles.
#pragma once

#include <cstring>

#include "ops/cpu/linear_kernels.h"

namespace shoehorn {

// How codes unpack: their number of bits, or the code book.
enum class Unpacking : int { u2 = 2, u3 = 3, u4 = 4, u5 = 5, u6 = 6, u8 = 8, iq4nl = 9 };

template <typename V>
struct GroupedBody {
  using Floats = typename V::Floats;
  using Codes = typename V::Codes;

  struct Scales {
    Floats scale, minimum;
  };

  // What is to be taken from unpacked codes to get the number that the scale multiplies: the middle
  // code of symmetric formats (128 for the code book, whose entries unpack as T + 128), less what
  // unpacking took already.
  template <Unpacking U>
  static constexpr int32_t code_offset(bool has_minimum) {
    constexpr int kMiddle = U == Unpacking::iq4nl ? 128 : 1 << (static_cast<int>(U) - 1);
    return (has_minimum ? 0 : kMiddle) - V::template kTaken<U>;
  }

  static Scales header_scales(const std::byte* header, int64_t first_row, bool has_minimum) {
    const auto* halves = reinterpret_cast<const uint16_t*>(header) + first_row;
    return {V::load_f16(halves), has_minimum ? V::load_f16(halves + kTileRows) : V::zero()};
  }

  // The scales of group g of a block, from the header's and the block's own bytes.
  static Scales group_scales(const Format& format, const Scales& header, const std::byte* bytes,
                             int64_t g, int64_t first_row) {
    if (!format.two_level()) return header;
    if (format.scale == ScaleEncoding::two_level_packed4) {
      const std::byte* packed = bytes + g * kTileRows + first_row;
      return {V::multiply(header.scale, V::load_low_nibbles(packed)),
              V::multiply(header.minimum, V::load_high_nibbles(packed))};
    }
    const bool has_minimum = format.has_minimum();
    const std::byte* s = bytes + g * kTileRows * (has_minimum ? 2 : 1) + first_row;
    return {V::multiply(header.scale, V::load_i8(s)),
            has_minimum ? V::multiply(header.minimum, V::load_i8(s + kTileRows)) : header.minimum};
  }

  // Rows [first_row, first_row + V::kRows) of the tile, activation rows [row, row + M).
  template <Unpacking U, int M>
  static void block_rows(const GroupedArguments& a, int64_t row, int64_t first_row) {
    const Format& format = *a.format;
    const bool has_minimum = format.has_minimum();
    const int64_t groups = format.group < kBlockColumns ? kBlockColumns / format.group : 1;
    const int quads = static_cast<int>(8 / groups);
    const int64_t section_blocks = header_columns(format) / kBlockColumns;
    const int64_t scale_bytes = block_scale_bytes(format);
    const int64_t code_bytes = block_code_bytes(format);
    const int64_t blocks = a.columns / kBlockColumns;
    const int32_t offset = code_offset<U>(has_minimum);
    const int8_t* x = a.codes + row * a.columns;

    Floats sums[M];
    for (int i = 0; i < M; ++i) sums[i] = V::zero();
    const std::byte* at = a.tile;
    for (int64_t block = 0; block < blocks;) {
      const Scales header = header_scales(at, first_row, has_minimum);
      at += header_bytes(format);
      for (const int64_t end = block + section_blocks; block < end; ++block) {
        V::prefetch(at + 1536);
        Codes codes[8];
        V::template unpack<U>(at + scale_bytes, first_row, codes);
        for (int64_t g = 0; g < groups; ++g) {
          const Scales scales = group_scales(format, header, at, g, first_row);
          for (int i = 0; i < M; ++i) {
            const float sx = a.scales[(row + i) * blocks + block];
            const int32_t* halves = a.half_sums + (row + i) * blocks * 2 + block * 2;
            const int32_t sum = groups == 2 ? halves[g] : halves[0] + halves[1];
            const int8_t* xq = x + i * a.columns + block * kBlockColumns + g * quads * 4;
            const auto dots = V::template dot<U>(codes + g * quads, xq, quads, -offset * sum);
            sums[i] = V::multiply_add(V::to_floats(dots),
                                      V::multiply(scales.scale, V::broadcast(sx)), sums[i]);
            if (has_minimum) {
              sums[i] = V::multiply_add(scales.minimum, V::broadcast(sx * static_cast<float>(sum)),
                                        sums[i]);
            }
          }
        }
        at += scale_bytes + code_bytes;
      }
    }
    for (int i = 0; i < M; ++i) V::store(a.sums + (row + i) * kTileRows + first_row, sums[i]);
  }

  template <Unpacking U, int M>
  static void tile_rows(const GroupedArguments& a, int64_t row) {
    for (int64_t first = 0; first < kTileRows; first += V::kRows) block_rows<U, M>(a, row, first);
  }

  template <Unpacking U>
  static void grouped_as(const GroupedArguments& a) {
    int64_t row = 0;
    for (; row + V::kActivationRows <= a.m; row += V::kActivationRows) {
      tile_rows<U, V::kActivationRows>(a, row);
    }
    if constexpr (V::kActivationRows > 4) {
      if (a.m - row >= 4) tile_rows<U, 4>(a, row), row += 4;
    }
    if (a.m - row >= 2) tile_rows<U, 2>(a, row), row += 2;
    if (a.m - row >= 1) tile_rows<U, 1>(a, row);
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
