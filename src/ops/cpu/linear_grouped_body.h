// The grouped kernels of linear_kernels.h over a class V of vector operations (linear_avx2.cc,
// linear_vnni512.h).
//
// Bounded by DRAM for few rows, by the multipliers for many. A vector lane is a weight row, so sums
// need no shuffles, and an activation is a broadcast of four bytes. Per block (16 x 32 weights) and
// activation row, AVX-512 spends 8 VPDPBUSD and 4 instructions more: one VPDPWSSD that takes out
// the offset, a conversion, a product of scales, a multiply-add. Unpacking a block costs 12 (4
// bits) to 26 (6 bits), shared by up to 8 activation rows; the tile stays in L2 for the next ones.
//
// Included by files compiled for an instruction set: all functions are members of a template over
// V, and nothing of the standard library that has a body is used.
#pragma once

#include <type_traits>

#include "ops/cpu/linear_kernels.h"

namespace shoehorn {

// How codes unpack: their number of bits, or the code book.
enum class Unpacking : int { u2 = 2, u3 = 3, u4 = 4, u5 = 5, u6 = 6, u8 = 8, iq4nl = 9 };

// Calls body(0) .. body(N - 1) with compile-time arguments: an array that a loop indexes would live
// in memory, not in registers.
template <int N, typename Body>
[[gnu::always_inline]] inline void unrolled(const Body& body) {
  if constexpr (N > 0) {
    unrolled<N - 1>(body);
    body(std::integral_constant<int, N - 1>{});
  }
}

// What is known of a format at compile time: its codes, scale groups a block, and whether it has
// minima.
template <Unpacking U, int Groups, bool Minimum>
struct Kind {
  static constexpr Unpacking kUnpacking = U;
  static constexpr int kGroups = Groups;
  static constexpr bool kMinimum = Minimum;
  // The code that means 0 (128 for the code book, whose entries unpack as T + 128).
  static constexpr int kMiddle = Minimum                 ? 0
                                 : U == Unpacking::iq4nl ? 128
                                                         : 1 << (static_cast<int>(U) - 1);
};

// Calls kernel.template operator()<Kind<...>>() with the kind of `format`.
template <Unpacking U, typename Kernel>
void with_unpacking(const Format& format, const Kernel& kernel) {
  const bool halves = format.group < kBlockColumns;
  if (format.has_minimum()) {
    halves ? kernel.template operator()<Kind<U, 2, true>>()
           : kernel.template operator()<Kind<U, 1, true>>();
  } else {
    halves ? kernel.template operator()<Kind<U, 2, false>>()
           : kernel.template operator()<Kind<U, 1, false>>();
  }
}

template <typename Kernel>
void with_kind(const Format& format, const Kernel& kernel) {
  if (format.meaning == CodeMeaning::iq4nl) {
    return format.group < kBlockColumns
               ? kernel.template operator()<Kind<Unpacking::iq4nl, 2, false>>()
               : kernel.template operator()<Kind<Unpacking::iq4nl, 1, false>>();
  }
  switch (format.bits) {
    case 2:
      return with_unpacking<Unpacking::u2>(format, kernel);
    case 3:
      return with_unpacking<Unpacking::u3>(format, kernel);
    case 4:
      return with_unpacking<Unpacking::u4>(format, kernel);
    case 5:
      return with_unpacking<Unpacking::u5>(format, kernel);
    case 6:
      return with_unpacking<Unpacking::u6>(format, kernel);
    case 8:
      return with_unpacking<Unpacking::u8>(format, kernel);
  }
}

// Sizes in bytes, and blocks of columns from one scale header to the next.
struct GroupedSizes {
  GroupedSizes(const Format& format, int64_t blocks)
      : section_blocks(header_columns(format) / kBlockColumns),
        header(header_bytes(format)),
        scales(block_scale_bytes(format)),
        block(scales + block_code_bytes(format)),
        streamed(block + header / section_blocks),
        run(blocks * streamed) {}
  int64_t section_blocks, header, scales, block;
  int64_t streamed;  // of a block with its share of a header
  int64_t run;       // of all blocks of a tile
};

// What is read after a run of bytes.
struct Ahead {
  const std::byte* end;   // of the run
  const std::byte* next;  // the run after it

  const std::byte* from(const std::byte* at, int64_t bytes) const {
    at += bytes;
    return at < end ? at : next + (at - end);
  }
};

template <typename V>
struct GroupedBody {
  using Floats = typename V::Floats;
  using Codes = typename V::Codes;

  struct Scales {
    Floats scale, minimum;
  };

  // Quad q of the block whose codes begin at p, for V::kRows rows: one unsigned byte a code, or
  // what V makes of 8 bits and of the code book.
  template <Unpacking U>
  static Codes quad(const std::byte* p, int q) {
    if constexpr (U == Unpacking::u8) {
      return V::eight_bits(V::load(p + q * 64));
    } else if constexpr (U == Unpacking::u2 || U == Unpacking::u3) {
      const Codes low = V::field(V::load(p + q % 2 * 64), -2 * (q / 2), 3);
      if constexpr (U == Unpacking::u2) return low;
      return V::with_field(low, V::load(p + 128), 2 - q, 4);
    } else {
      const Codes low = V::field(V::load(p + q % 4 * 64), q < 4 ? 0 : -4, 15);
      if constexpr (U == Unpacking::iq4nl) return V::code_book(low);
      if constexpr (U == Unpacking::u5) return V::with_field(low, V::load(p + 256), 4 - q, 16);
      if constexpr (U == Unpacking::u6) {
        return V::with_field(low, V::load(p + 256 + q % 2 * 64), 4 - 2 * (q / 2), 48);
      }
      return low;
    }
  }

  // The hardware's own prefetching falls behind when little is computed for each byte. 4 KiB ahead
  // and whole blocks were best on a Zen 4: 1.4 times the rows a second at m = 4 and 8.
  static constexpr int64_t kPrefetchBytes = 4096;
  static void prefetch(const std::byte* p, int64_t bytes) {
    for (int64_t line = 0; line < bytes; line += 64) V::prefetch(p + line);
  }

  static Scales header_scales(const std::byte* header, bool has_minimum) {
    const auto* halves = reinterpret_cast<const uint16_t*>(header);
    return {V::load_f16(halves), has_minimum ? V::load_f16(halves + kTileRows) : V::zero()};
  }

  // The scales of group g of a block, from the header's and the block's own bytes.
  template <bool Minimum>
  static Scales group_scales(ScaleEncoding encoding, const Scales& header, const std::byte* bytes,
                             int g) {
    if (encoding == ScaleEncoding::f16) return header;
    if (Minimum && encoding == ScaleEncoding::two_level_packed4) {
      const std::byte* packed = bytes + g * kTileRows;
      return {V::multiply(header.scale, V::load_low_nibbles(packed)),
              V::multiply(header.minimum, V::load_high_nibbles(packed))};
    }
    const std::byte* s = bytes + g * kTileRows * (Minimum ? 2 : 1);
    return {V::multiply(header.scale, V::load_i8(s)),
            Minimum ? V::multiply(header.minimum, V::load_i8(s + kTileRows)) : header.minimum};
  }

  // sums += (scale * sx) * dots + minimum * (sx * sum(xq))
  template <typename K>
  static Floats float_step(Floats sums, typename V::Ints dots, const Scales& scales,
                           const RoundedRows& x, int i, int g) {
    const Floats product = V::multiply(scales.scale, V::broadcast(x.scales[i]));
    sums = V::multiply_add(V::to_floats(dots), product, sums);
    if constexpr (!K::kMinimum) return sums;
    const float sum = K::kGroups == 1 ? x.products[i] : x.half_products[i * 2 + g];
    return V::multiply_add(scales.minimum, V::broadcast(sum), sums);
  }

  // What is read after the first tile.
  static Ahead after_tile(const GroupedArguments& a, const GroupedSizes& sizes) {
    return {a.weight + sizes.run, a.tiles > 1 ? a.weight + a.tile_stride : a.next};
  }

  // The sums of V::kRows rows of the first tile, that many floats into sums and total.
  static Floats begin_sum(const GroupedArguments& a, int64_t offset) {
    return a.first ? V::zero() : V::load(a.sums + offset);
  }
  static void end_sum(const GroupedArguments& a, int64_t offset, Floats sum) {
    if (a.total == nullptr) return V::store(a.sums + offset, sum);
    V::store(a.total + offset, V::add(V::load(a.total + offset), sum));
  }
  static void next_tile(GroupedArguments& a) {
    --a.tiles;
    a.weight += a.tile_stride;
    a.sums += a.sum_rows * kTileRows;
    if (a.total != nullptr) a.total += a.sum_rows * kTileRows;
  }

  // Rows [first_row, first_row + Parts * V::kRows) of the first tile, M activation rows from `row`
  // on.
  template <typename K, int M, int Parts>
  static void rows(const GroupedArguments& a, const GroupedSizes& sizes, int64_t row,
                   int64_t first_row) {
    const ScaleEncoding encoding = a.format->scale;
    const int64_t scale_bytes = sizes.scales, block_bytes = sizes.block;
    const Ahead ahead = after_tile(a, sizes);
    const int64_t panel = row / kPanelRows * kPanelRows;
    const int64_t panel_rows = a.m - panel < kPanelRows ? a.m - panel : kPanelRows;
    RoundedRows x = a.x.at(panel * a.row_blocks + a.first_block * panel_rows + row - panel);
    const int64_t offset = row * kTileRows + first_row;

    Floats sums[Parts][M];
    for (int p = 0; p < Parts; ++p) {
      for (int i = 0; i < M; ++i) {
        sums[p][i] = begin_sum(a, offset + i * kTileRows + p * V::kRows);
      }
    }
    const std::byte* at = a.weight;
    for (int64_t block = 0; block < a.blocks;) {
      Scales header[Parts];
      for (int p = 0; p < Parts; ++p) {
        header[p] = header_scales(at + (first_row + p * V::kRows) * 2, K::kMinimum);
      }
      at += sizes.header;
      for (const int64_t end = block + sizes.section_blocks; block < end; ++block) {
        prefetch(ahead.from(at, kPrefetchBytes), sizes.streamed);
        const std::byte* codes = at + scale_bytes + first_row * 4;
        const std::byte* scale_rows = at + first_row;
        Scales scales[Parts];
        V::template products<GroupedBody, K, M, Parts>(
            codes, x,
            [&](int g, int p) __attribute__((always_inline)) {
              scales[p] =
                  group_scales<K::kMinimum>(encoding, header[p], scale_rows + p * V::kRows, g);
            },
            [&](int g, int p, int i, typename V::Ints dots) __attribute__((always_inline)) {
              sums[p][i] = float_step<K>(sums[p][i], dots, scales[p], x, i, g);
            });
        at += block_bytes;
        x = x.at(panel_rows);
      }
    }
    for (int p = 0; p < Parts; ++p) {
      for (int i = 0; i < M; ++i) end_sum(a, offset + i * kTileRows + p * V::kRows, sums[p][i]);
    }
  }

  // The whole first tile: as many parts at a time as registers hold sums for.
  template <typename K, int M>
  static int64_t tile(const GroupedArguments& a, const GroupedSizes& sizes, int64_t row) {
    constexpr int kParts = V::kRows * 2 <= kTileRows && M * 2 <= V::kSums ? 2 : 1;
    for (int64_t first = 0; first < kTileRows; first += kParts * V::kRows) {
      rows<K, M, kParts>(a, sizes, row, first);
    }
    return M;
  }

  // As many rows from `row` on as a register tile holds; returns their number.
  template <typename K>
  static int64_t some_rows(const GroupedArguments& a, const GroupedSizes& sizes, int64_t row) {
    const int64_t left = a.m - row;
    if constexpr (V::kSums >= 8) {
      if (left >= 8) return tile<K, 8>(a, sizes, row);
    }
    if (left >= 4) return tile<K, 4>(a, sizes, row);
    if (left >= 2) return tile<K, 2>(a, sizes, row);
    return tile<K, 1>(a, sizes, row);
  }

  static void grouped(const GroupedArguments& arguments) {
    const GroupedSizes sizes(*arguments.format, arguments.blocks);
    with_kind(*arguments.format, [&]<typename K>() {
      GroupedArguments a = arguments;
      for (; a.tiles > 0; next_tile(a)) {
        for (int64_t row = 0; row < a.m;) row += some_rows<K>(a, sizes, row);
      }
    });
  }

  // One block, dequantized, times M float rows x_stride apart: sums[i][j] of columns j modulo 4.
  template <typename K, int M, typename ScalesOf>
  [[gnu::always_inline]] static inline void precise_block(const std::byte* codes, const float* x,
                                                          int64_t x_stride,
                                                          const ScalesOf& scales_of,
                                                          Floats (&sums)[M][4]) {
    constexpr int kQuads = 8 / K::kGroups;
    unrolled<K::kGroups>([&](auto g) __attribute__((always_inline)) {
      const Scales scales = scales_of(g);
      unrolled<kQuads>([&](auto step) __attribute__((always_inline)) {
        constexpr int kQuad = g * kQuads + step;
        const Codes four = quad<K::kUnpacking>(codes, kQuad);
        unrolled<4>([&](auto j) __attribute__((always_inline)) {
          // The operations of dequantize_row.
          Floats weight = V::multiply(scales.scale, V::template column<K, j>(four));
          if constexpr (K::kMinimum) weight = V::add(weight, scales.minimum);
          unrolled<M>([&](auto i) __attribute__((always_inline)) {
            const Floats value = V::broadcast(x[i * x_stride + kQuad * 4 + j]);
            sums[i][j] = V::multiply_add(weight, value, sums[i][j]);
          });
        });
      });
    });
  }

  // Rows [first_row, first_row + V::kRows) of the tile, M activation rows from `row` on.
  template <typename K, int M>
  static void precise_rows(const PreciseArguments& a, const GroupedSizes& sizes, int64_t row,
                           int64_t first_row) {
    const ScaleEncoding encoding = a.format->scale;
    const int64_t blocks = a.columns / kBlockColumns;
    const float* x = a.x + row * a.x_stride;
    Floats sums[M][4];
    for (int i = 0; i < M; ++i) {
      for (int j = 0; j < 4; ++j) sums[i][j] = V::zero();
    }
    const std::byte* at = a.tile;
    for (int64_t block = 0; block < blocks;) {
      const Scales header = header_scales(at + first_row * 2, K::kMinimum);
      at += sizes.header;
      for (const int64_t end = block + sizes.section_blocks; block < end; ++block) {
        prefetch(at + kPrefetchBytes, sizes.streamed);
        const std::byte* scale_rows = at + first_row;
        precise_block<K, M>(
            at + sizes.scales + first_row * 4, x, a.x_stride,
            [&](int g) __attribute__((always_inline)) {
              return group_scales<K::kMinimum>(encoding, header, scale_rows, g);
            },
            sums);
        at += sizes.block;
        x += kBlockColumns;
      }
    }
    float* out = a.sums + row * kTileRows + first_row;
    for (int i = 0; i < M; ++i) {
      V::store(out + i * kTileRows,
               V::add(V::add(sums[i][0], sums[i][1]), V::add(sums[i][2], sums[i][3])));
    }
  }

  template <typename K, int M>
  static void precise_tile(const PreciseArguments& a, const GroupedSizes& sizes, int64_t row) {
    for (int64_t first = 0; first < kTileRows; first += V::kRows) {
      precise_rows<K, M>(a, sizes, row, first);
    }
  }

  static void precise(const PreciseArguments& a) {
    constexpr int kRowsAtOnce = V::kSums / 2;  // four sums each
    const GroupedSizes sizes(*a.format, a.columns / kBlockColumns);
    with_kind(*a.format, [&]<typename K>() {
      int64_t row = 0;
      for (; row + kRowsAtOnce <= a.m; row += kRowsAtOnce) {
        precise_tile<K, kRowsAtOnce>(a, sizes, row);
      }
      for (; row < a.m; ++row) precise_tile<K, 1>(a, sizes, row);
    });
  }
};

}  // namespace shoehorn
