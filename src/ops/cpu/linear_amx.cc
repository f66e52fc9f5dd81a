// Linear kernels for AMX: 16 activation rows x 16 weight rows x one scale group (32 or 16 columns)
// in one TDPBSUD.
//
// The group's integer sums leave the tile through memory (1 KiB, in L1) for the float step, which
// then bounds the kernel: about 80 vector instructions for 8192 products, where VPDPBUSD alone
// needs 128. Below 16 rows a tile would be partly empty: those rows go to the AVX-512 kernel, which
// gives the same bits, since integer sums are exact and the float operations are the same in the
// same order.
#include <immintrin.h>

#include "ops/cpu/linear_vnni512.h"

namespace shoehorn {
namespace {

constexpr int64_t kTileM = 16;  // activation rows of one tile

// Operand of LDTILECFG (Intel SDM, volume 1, 18.3): bytes a row and rows of tiles 0..7.
struct alignas(64) TileConfiguration {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// Tiles 0, 1: sums of two groups of 16 activation rows; 2, 3: their codes; 4: the weight's.
void configure(int quads) {
  TileConfiguration configuration;
  for (const int tile : {0, 1}) configuration.row_bytes[tile] = 64, configuration.rows[tile] = 16;
  for (const int tile : {2, 3}) {
    configuration.row_bytes[tile] = static_cast<uint16_t>(quads * 4);
    configuration.rows[tile] = 16;
  }
  configuration.row_bytes[4] = 64;
  configuration.rows[4] = static_cast<uint8_t>(quads);
  _tile_loadconfig(&configuration);
}

using Body = GroupedBody<Vnni512>;

// The float step of 16 activation rows for group `group` of a block.
struct FloatStep {
  const GroupedArguments& a;
  int64_t block, group, groups;
  Body::Scales scales;

  void operator()(const int32_t (*ints)[16], int64_t first_row) const {
    const int64_t blocks = a.columns / kBlockColumns;
    const float* sx = a.scales + first_row * blocks + block;
    const float* sums = a.group_sums + (first_row * blocks + block) * groups + group;
    float* y = a.sums + first_row * kTileRows;
    for (int64_t i = 0; i < kTileM; ++i) {
      const __m512 scale = _mm512_mul_ps(scales.scale, _mm512_set1_ps(sx[i * blocks]));
      __m512 total = _mm512_loadu_ps(y + i * kTileRows);
      total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(ints[i])), scale, total);
      total = _mm512_fmadd_ps(scales.correction, _mm512_set1_ps(sums[i * blocks * groups]), total);
      _mm512_storeu_ps(y + i * kTileRows, total);
    }
  }
};

// Activation rows [0, m), m a multiple of 16.
template <Unpacking U>
void tiles_as(const GroupedArguments& a, int64_t m) {
  const Format& format = *a.format;
  const bool has_minimum = format.has_minimum();
  const int64_t groups = groups_in_block(format);
  const int64_t quads = 8 / groups;
  const int64_t section_blocks = header_columns(format) / kBlockColumns;
  const int64_t scale_bytes = block_scale_bytes(format);
  std::memset(a.sums, 0, static_cast<size_t>(m * kTileRows) * sizeof(float));
  configure(static_cast<int>(quads));

  alignas(64) int32_t ints[2][kTileM][16];
  const std::byte* at = a.tile;
  for (int64_t block = 0; block < a.columns / kBlockColumns;) {
    const Body::Scales header = Body::header_scales(at, 0, has_minimum);
    at += header_bytes(format);
    for (const int64_t end = block + section_blocks; block < end; ++block) {
      alignas(64) __m512i codes[8];
      Vnni512::unpack<U>(at + scale_bytes, 0, codes);
      for (int64_t g = 0; g < groups; ++g) {
        const FloatStep step = {a, block, g, groups,
                                Body::group_scales<U>(format, header, at, g, 0)};
        _tile_loadd(4, codes + g * quads, 64);
        const int8_t* x = a.codes + block * kBlockColumns + g * quads * 4;
        int64_t row = 0;
        for (; row + 2 * kTileM <= m; row += 2 * kTileM) {
          _tile_zero(0);
          _tile_zero(1);
          _tile_loadd(2, x + row * a.columns, a.columns);
          _tile_loadd(3, x + (row + kTileM) * a.columns, a.columns);
          _tile_dpbsud(0, 2, 4);
          _tile_dpbsud(1, 3, 4);
          _tile_stored(0, ints[0], 64);
          _tile_stored(1, ints[1], 64);
          step(ints[0], row);
          step(ints[1], row + kTileM);
        }
        if (row < m) {
          _tile_zero(0);
          _tile_loadd(2, x + row * a.columns, a.columns);
          _tile_dpbsud(0, 2, 4);
          _tile_stored(0, ints[0], 64);
          step(ints[0], row);
        }
      }
      at += scale_bytes + block_code_bytes(format);
    }
  }
  _tile_release();
}

void tiles(const GroupedArguments& a, int64_t m) {
  if (a.format->meaning == CodeMeaning::iq4nl) return tiles_as<Unpacking::iq4nl>(a, m);
  switch (a.format->bits) {
    case 2:
      return tiles_as<Unpacking::u2>(a, m);
    case 3:
      return tiles_as<Unpacking::u3>(a, m);
    case 4:
      return tiles_as<Unpacking::u4>(a, m);
    case 5:
      return tiles_as<Unpacking::u5>(a, m);
    case 6:
      return tiles_as<Unpacking::u6>(a, m);
    case 8:
      return tiles_as<Unpacking::u8>(a, m);
  }
}

void grouped(const GroupedArguments& a) {
  const int64_t whole = a.m / kTileM * kTileM;
  if (whole > 0) tiles(a, whole);
  if (whole == a.m) return;
  const int64_t blocks = a.columns / kBlockColumns;
  GroupedArguments rest = a;
  rest.m = a.m - whole;
  rest.codes += whole * a.columns;
  rest.scales += whole * blocks;
  rest.group_sums += whole * blocks * groups_in_block(*a.format);
  rest.sums += whole * kTileRows;
  linear_kernels_avx512().grouped(rest);
}

}  // namespace

const LinearKernels& linear_kernels_amx() {
  static const LinearKernels kernels = {&grouped, linear_kernels_avx512().plain,
                                        linear_kernels_avx512().round_row};
  return kernels;
}

}  // namespace shoehorn
