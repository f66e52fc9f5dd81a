// The specification of linear layers in plain loops: the same integer sums and the same float
// operations, in the same order, as the vector kernels.
#include <algorithm>
#include <cmath>

#include "ops/cpu/linear_kernels.h"
#include "ops/cpu/linear_rounding.h"
#include "tensor/dtype.h"
#include "tensor/pack.h"

namespace shoehorn {
namespace {

int code_value(const Format& format, int u) {
  switch (format.meaning) {
    case CodeMeaning::symmetric:
      return u - (1 << (format.bits - 1));
    case CodeMeaning::iq4nl:
      return kIq4nl[static_cast<size_t>(u)];
    case CodeMeaning::with_minimum:
      return u;
  }
  return u;
}

// Row r of the tile, group [begin, begin + group) of a block, one rounded block of activations.
int32_t dot(const GroupedArguments& a, const std::array<uint8_t, kBlockColumns>& codes,
            const int8_t* x, int64_t begin, int64_t end) {
  int32_t sum = 0;
  for (int64_t c = begin; c < end; ++c) {
    sum += code_value(*a.format, codes[static_cast<size_t>(c)]) * x[c];
  }
  return sum;
}

void grouped_tile(const GroupedArguments& a) {
  const Format& format = *a.format;
  const int64_t group = std::min<int64_t>(format.group, kBlockColumns);
  if (a.first) std::fill_n(a.sums, a.m * kTileRows, 0.0f);
  for (int64_t b = 0; b < a.blocks; ++b) {
    const int64_t column = b * kBlockColumns, block = a.first_block + b;
    const BlockCodes codes = unpack_codes(format, a.weight + block_offsets(format, column).codes);
    for (int64_t begin = 0; begin < kBlockColumns; begin += group) {
      for (int64_t r = 0; r < kTileRows; ++r) {
        const ScaleAndMinimum s = scale_at(format, a.weight, r, column + begin);
        for (int64_t i = 0; i < a.m; ++i) {
          const int64_t panel = i / kPanelRows * kPanelRows;
          const int64_t at =
              panel * a.row_blocks + block * std::min(kPanelRows, a.m - panel) + i - panel;
          const int32_t sum =
              dot(a, codes[r], a.x.codes + at * kBlockColumns, begin, begin + group);
          float& y = a.sums[i * kTileRows + r];
          y = std::fma(static_cast<float>(sum), s.scale * a.x.scales[at], y);
          if (!format.has_minimum()) continue;
          const float product =
              group == kBlockColumns ? a.x.products[at] : a.x.half_products[at * 2 + begin / group];
          y = std::fma(s.minimum, product, y);
        }
      }
    }
  }
}

void grouped(const GroupedArguments& arguments) {
  GroupedArguments a = arguments;
  for (; a.tiles > 0; --a.tiles) {
    grouped_tile(a);
    a.weight += a.tile_stride;
    if (a.total != nullptr) {
      for (int64_t i = 0; i < a.m * kTileRows; ++i) a.total[i] += a.sums[i];
      a.total += a.sum_rows * kTileRows;
    }
    a.sums += a.sum_rows * kTileRows;
  }
}

float plain_value(Storage storage, const std::byte* row, int64_t column) {
  if (storage == Storage::f32) return reinterpret_cast<const float*>(row)[column];
  const uint16_t bits = reinterpret_cast<const uint16_t*>(row)[column];
  return storage == Storage::f16 ? f16_to_float(bits) : bf16_to_float(bits);
}

void plain(const PlainArguments& a) {
  const int64_t row_bytes = a.columns * (a.storage == Storage::f32 ? 4 : 2);
  for (int64_t i = 0; i < a.m; ++i) {
    for (int64_t r = 0; r < a.rows; ++r) {
      float lanes[16] = {};
      for (int64_t c = 0; c < a.columns; ++c) {
        lanes[c % 16] = std::fma(plain_value(a.storage, a.weight + r * row_bytes, c),
                                 a.x[i * a.x_stride + c], lanes[c % 16]);
      }
      for (int width = 8; width > 0; width /= 2) {
        for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
      }
      a.sums[i * kTileRows + r] = lanes[0];
    }
  }
}

// sums[row][j] += block `b` of tile row r times float rows, columns j modulo 4.
void precise_block(const PreciseArguments& a, int64_t b, float (*sums)[kTileRows][4]) {
  const Format& format = *a.format;
  const int64_t column = b * kBlockColumns, group = std::min<int64_t>(format.group, kBlockColumns);
  const BlockCodes codes = unpack_codes(format, a.tile + block_offsets(format, column).codes);
  for (int64_t r = 0; r < kTileRows; ++r) {
    for (int64_t begin = 0; begin < kBlockColumns; begin += group) {
      const ScaleAndMinimum s = scale_at(format, a.tile, r, column + begin);
      for (int64_t c = begin; c < begin + group; ++c) {
        float weight =
            s.scale * static_cast<float>(code_value(
                          format, codes[static_cast<size_t>(r)][static_cast<size_t>(c)]));
        if (format.has_minimum()) weight += s.minimum;
        for (int64_t i = 0; i < a.m; ++i) {
          float& sum = sums[i][r][c % 4];
          sum = std::fma(weight, a.x[i * a.x_stride + column + c], sum);
        }
      }
    }
  }
}

void precise(const PreciseArguments& a) {
  float sums[kSumRows][kTileRows][4] = {};
  for (int64_t b = 0; b < a.columns / kBlockColumns; ++b) precise_block(a, b, sums);
  for (int64_t i = 0; i < a.m; ++i) {
    for (int64_t r = 0; r < kTileRows; ++r) {
      const float* s = sums[i][r];
      a.sums[i * kTileRows + r] = (s[0] + s[1]) + (s[2] + s[3]);
    }
  }
}

void round_row(const RoundArguments& a) {
  for (int64_t block = a.first; block < a.end; ++block) {
    const int64_t at = block * a.stride, begin = block * kBlockColumns;
    float largest = 0;
    for (int64_t c = begin; c < begin + kBlockColumns && c < a.columns; ++c) {
      largest = std::max(largest, std::fabs(a.x[c]));
    }
    const RoundingScale scale = rounding_scale(largest);
    int32_t sums[2] = {};
    for (int64_t i = 0; i < kBlockColumns; ++i) {
      const float x = begin + i < a.columns ? a.x[begin + i] : 0.0f;
      const int code = static_cast<int>(std::nearbyint(x * scale.inverse));
      a.out.codes[at * kBlockColumns + i] = static_cast<int8_t>(code);
      sums[i / 16] += code;
    }
    store_sums(a.out, at, scale.scale, sums[0], sums[1]);
  }
}

}  // namespace

const LinearKernels& linear_kernels_generic() {
  static constexpr LinearKernels kKernels = {&grouped, &plain, &precise, &round_row};
  return kKernels;
}

}  // namespace shoehorn
