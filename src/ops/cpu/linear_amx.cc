// Linear kernels for AMX: 16 activation rows x 16 weight rows x one scale group (32 or 16 columns)
// in one tile instruction.
//
// The products are almost free; the float step bounds the kernel: a conversion, a product of scales
// and a multiply-add for each activation row and group, and the passage of the integer sums from
// the tile to vectors through memory (1 KiB, in L1). So: a chunk of the weight is unpacked once for
// all activation rows; symmetric codes are made signed then, which spares the subtraction of the
// offset's share later (TDPBSSD, else TDPBUSD); float sums of 16 rows stay in registers along a
// chunk; and a tile is multiplied while the float step of the one before runs.
//
// A panel of 8 rows or fewer takes half the float step, and half a tile where no larger panel comes
// with it. Fewer rows still leave a tile mostly empty: they go to the AVX-512 kernel, which gives
// the same bits, since integer sums are exact and the float operations are the same in the same
// order.
#include <immintrin.h>

#include "ops/cpu/linear_vnni512.h"

namespace shoehorn {
namespace {

constexpr int64_t kFewestRows = 6;    // of a panel worth a tile
constexpr int64_t kChunkBlocks = 16;  // 12 KiB unpacked: with 8 KiB of activations within L1

// Operand of LDTILECFG (Intel SDM, volume 1, 18.3): bytes a row and rows of tiles 0..7.
struct alignas(64) TileConfiguration {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// The tile intrinsics of GCC 12 do not tell it what they read: what was written to p is to be in
// memory by now.
void publish(const void* p) {
  asm volatile("" : : "r"(p) : "memory");
}

constexpr int64_t kHalfPanel = kPanelRows / 2;

// Two sets of tiles take turns: 0 and 1 the weight's codes, 2 and 3 the activations', 4 and 5 sums.
void configure(int quads, int64_t panel_rows) {
  TileConfiguration configuration;
  for (const int turn : {0, 1}) {
    configuration.row_bytes[turn] = 64;
    configuration.rows[turn] = static_cast<uint8_t>(quads);
    configuration.row_bytes[2 + turn] = static_cast<uint16_t>(quads * 4);
    configuration.rows[2 + turn] = static_cast<uint8_t>(panel_rows);
    configuration.row_bytes[4 + turn] = 64;
    configuration.rows[4 + turn] = static_cast<uint8_t>(panel_rows);
  }
  publish(&configuration);
  _tile_loadconfig(&configuration);
}

using Body = GroupedBody<Vnni512>;

// Part of a weight tile, unpacked.
struct Chunk {
  __m512i codes[kChunkBlocks][8];  // signed in symmetric formats
  Body::Scales scales[kChunkBlocks][2];
};

// Walks through a weight tile block by block.
struct Reader {
  const Format& format;
  const GroupedSizes& sizes;
  const std::byte* at;
  int64_t block = 0;
  Body::Scales header = {};
};

template <typename K>
void unpack(Reader& reader, int64_t count, Chunk& chunk) {
  const Format& format = reader.format;
  const int64_t scale_bytes = reader.sizes.scales;
  for (int64_t b = 0; b < count; ++b, ++reader.block) {
    if (reader.block % reader.sizes.section_blocks == 0) {
      reader.header = Body::header_scales(reader.at, K::kMinimum);
      reader.at += reader.sizes.header;
    }
    unrolled<8>([&](auto q) __attribute__((always_inline)) {
      const __m512i codes = Body::quad<K::kUnpacking>(reader.at + scale_bytes, q);
      chunk.codes[b][q] =
          K::kMinimum ? codes
                      : _mm512_sub_epi8(codes, _mm512_set1_epi8(static_cast<char>(K::kMiddle)));
    });
    for (int g = 0; g < K::kGroups; ++g) {
      chunk.scales[b][g] =
          Body::group_scales<K::kMinimum>(format.scale, reader.header, reader.at, g);
    }
    reader.at += reader.sizes.block;
  }
}

using Dots = int32_t[kPanelRows][kTileRows];

// dots = activations (rows of 32 bytes) times weight, with the tiles of one turn (the compiler
// wants their numbers as literals).
template <typename K>
void multiply_in_turn_0(const int8_t* x, const __m512i* codes, Dots& dots) {
  _tile_zero(4);
  _tile_loadd(2, x, kBlockColumns);
  _tile_loadd(0, codes, 64);
  if constexpr (K::kMinimum) {
    _tile_dpbsud(4, 2, 0);
  } else {
    _tile_dpbssd(4, 2, 0);
  }
  _tile_stored(4, dots, 64);
}
template <typename K>
void multiply_in_turn_1(const int8_t* x, const __m512i* codes, Dots& dots) {
  _tile_zero(5);
  _tile_loadd(3, x, kBlockColumns);
  _tile_loadd(1, codes, 64);
  if constexpr (K::kMinimum) {
    _tile_dpbsud(5, 3, 1);
  } else {
    _tile_dpbssd(5, 3, 1);
  }
  _tile_stored(5, dots, 64);
}

// One panel of activations along a chunk. Of a panel of fewer than 16 (or 8) rows the rest is
// computed from whatever lies behind them (the scratch has room for that), and ignored.
struct PanelStep {
  RoundedRows x;  // from the chunk's first block on
  int64_t panel_rows;
  int64_t count;  // of blocks
  float* sums;    // [16, 16]
  float* total;   // as in GroupedArguments
  bool first;
  const std::byte* next;  // of the weight: to be prefetched meanwhile, so many bytes a block
  int64_t next_bytes;
};

template <typename K>
void multiply_next(const PanelStep& step, const Chunk& chunk, int64_t unit, Dots (&dots)[2]) {
  constexpr int kQuads = 8 / K::kGroups;
  const int64_t block = unit / K::kGroups, group = unit % K::kGroups;
  const int8_t* x = step.x.codes + block * step.panel_rows * kBlockColumns + group * kQuads * 4;
  const __m512i* codes = chunk.codes[block] + group * kQuads;
  if (unit % 2 == 0) {
    multiply_in_turn_0<K>(x, codes, dots[0]);
  } else {
    multiply_in_turn_1<K>(x, codes, dots[1]);
  }
}

template <typename K, int Rows>
void panel_times_chunk(const PanelStep& step, const Chunk& chunk) {
  alignas(64) Dots dots[2];
  __m512 sums[Rows];
  unrolled<Rows>([&](auto i) __attribute__((always_inline)) {
    sums[i] = step.first ? _mm512_setzero_ps() : _mm512_loadu_ps(step.sums + i * kTileRows);
  });
  const int64_t units = step.count * K::kGroups;
  multiply_next<K>(step, chunk, 0, dots);
  for (int64_t unit = 0; unit < units; ++unit) {
    if (unit + 1 < units) multiply_next<K>(step, chunk, unit + 1, dots);
    const int64_t block = unit / K::kGroups;
    const int group = static_cast<int>(unit % K::kGroups);
    if (group == 0) Body::prefetch(step.next + block * step.next_bytes, step.next_bytes);
    const RoundedRows x = step.x.at(block * step.panel_rows);
    const Body::Scales scales = chunk.scales[block][group];
    unrolled<Rows>([&](auto i) __attribute__((always_inline)) {
      sums[i] =
          Body::float_step<K>(sums[i], _mm512_load_si512(dots[unit % 2][i]), scales, x, i, group);
    });
  }
  unrolled<Rows>([&](auto i) __attribute__((always_inline)) {
    if (step.total == nullptr) {
      _mm512_storeu_ps(step.sums + i * kTileRows, sums[i]);
    } else {
      float* total = step.total + i * kTileRows;
      _mm512_storeu_ps(total, _mm512_add_ps(_mm512_loadu_ps(total), sums[i]));
    }
  });
}

// The first tile.
template <typename K>
void tile_times_panels(const GroupedArguments& a, const GroupedSizes& sizes) {
  Chunk chunk;
  Reader reader = {*a.format, sizes, a.weight};
  const Ahead ahead = Body::after_tile(a, sizes);
  for (int64_t block = 0; block < a.blocks; block += kChunkBlocks) {
    const int64_t count = a.blocks - block < kChunkBlocks ? a.blocks - block : kChunkBlocks;
    unpack<K>(reader, count, chunk);
    publish(&chunk);
    for (int64_t panel = 0; panel < a.m; panel += kPanelRows) {
      const int64_t rows = a.m - panel < kPanelRows ? a.m - panel : kPanelRows;
      const PanelStep step = {.x = a.x.at(panel * a.row_blocks + (a.first_block + block) * rows),
                              .panel_rows = rows,
                              .count = count,
                              .sums = a.sums + panel * kTileRows,
                              .total = a.total == nullptr || block + count < a.blocks
                                           ? nullptr
                                           : a.total + panel * kTileRows,
                              .first = a.first && block == 0,
                              .next = ahead.from(reader.at, 0),
                              .next_bytes = panel == 0 ? sizes.streamed : 0};
      if (rows <= kHalfPanel) {
        panel_times_chunk<K, kHalfPanel>(step, chunk);
      } else {
        panel_times_chunk<K, kPanelRows>(step, chunk);
      }
    }
  }
}

void panels(const GroupedArguments& arguments) {
  const GroupedSizes sizes(*arguments.format, arguments.blocks);
  with_kind(*arguments.format, [&]<typename K>() {
    configure(8 / K::kGroups, arguments.m <= kHalfPanel ? kHalfPanel : kPanelRows);
    GroupedArguments a = arguments;
    for (; a.tiles > 0; Body::next_tile(a)) {
      tile_times_panels<K>(a, sizes);
    }
    _tile_release();
  });
}

void grouped(const GroupedArguments& a) {
  const int64_t last = a.m % kPanelRows;
  GroupedArguments whole = a, rest = a;
  rest.m = last < kFewestRows ? last : 0;
  whole.m -= rest.m;
  if (whole.m > 0) panels(whole);
  if (rest.m == 0) return;
  rest.x = a.x.at(whole.m * a.row_blocks);
  rest.sums += whole.m * kTileRows;
  if (rest.total != nullptr) rest.total += whole.m * kTileRows;
  linear_kernels_avx512().grouped(rest);
}

}  // namespace

const LinearKernels& linear_kernels_amx() {
  static const LinearKernels kernels = {&grouped, linear_kernels_avx512().plain,
                                        linear_kernels_avx512().precise,
                                        linear_kernels_avx512().round_row};
  return kernels;
}

}  // namespace shoehorn
