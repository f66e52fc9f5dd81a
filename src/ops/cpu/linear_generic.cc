// The specification of linear layers in plain loops: the same integer sums and the same float
// operations, in the same order, as the vector kernels.
#include <algorithm>
#include <cmath>

#include "ops/cpu/linear_kernels.h"
#include "tensor/dtype.h"
#include "tensor/pack.h"

namespace shoehorn {
namespace {

// The number that a code stands for in integer sums, and c / scale of linear.h for formats without
// a minimum.
int unsigned_code(const Format& format, int u) {
  return format.meaning == CodeMeaning::iq4nl ? kIq4nl[static_cast<size_t>(u)] + 128 : u;
}
float middle(const Format& format) {
  return format.meaning == CodeMeaning::iq4nl ? 128.0f : static_cast<float>(1 << (format.bits - 1));
}

void grouped(const GroupedArguments& a) {
  const Format& format = *a.format;
  const int64_t blocks = a.columns / kBlockColumns;
  const int64_t groups = groups_in_block(format);
  const int64_t width = kBlockColumns / groups;
  for (int64_t i = 0; i < a.m * kTileRows; ++i) a.sums[i] = 0;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t column = block * kBlockColumns;
    const BlockCodes codes = unpack_codes(format, a.tile + block_offsets(format, column).codes);
    for (int64_t g = 0; g < groups; ++g) {
      for (int64_t r = 0; r < kTileRows; ++r) {
        const ScaleAndMinimum s = scale_at(format, a.tile, r, column + g * width);
        const float c = format.has_minimum() ? s.minimum : s.scale * -middle(format);
        for (int64_t i = 0; i < a.m; ++i) {
          const int8_t* x = a.codes + i * a.columns + column + g * width;
          int32_t dot = 0;
          for (int64_t k = 0; k < width; ++k) {
            dot += unsigned_code(format, codes[r][g * width + k]) * x[k];
          }
          float& y = a.sums[i * kTileRows + r];
          y = std::fma(static_cast<float>(dot), s.scale * a.scales[i * blocks + block], y);
          y = std::fma(c, a.group_sums[(i * blocks + block) * groups + g], y);
        }
      }
    }
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

void round_row(const float* x, int64_t columns, const RoundedRow& out) {
  const int64_t blocks = (columns + kBlockColumns - 1) / kBlockColumns;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t begin = block * kBlockColumns;
    float largest = 0;
    for (int64_t c = begin; c < begin + kBlockColumns && c < columns; ++c) {
      largest = std::max(largest, std::fabs(x[c]));
    }
    const float scale = largest / 127.0f;
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    out.scales[block] = scale;
    int32_t sums[2] = {};
    for (int64_t i = 0; i < kBlockColumns; ++i) {
      const int64_t c = begin + i;
      const int code = c < columns ? static_cast<int>(std::nearbyint(x[c] * inverse)) : 0;
      out.codes[c] = static_cast<int8_t>(code);
      sums[i / 16] += code;
    }
    out.block_sums[block] = scale * static_cast<float>(sums[0] + sums[1]);
    out.half_sums[block * 2] = scale * static_cast<float>(sums[0]);
    out.half_sums[block * 2 + 1] = scale * static_cast<float>(sums[1]);
  }
}

}  // namespace

const LinearKernels& linear_kernels_generic() {
  static constexpr LinearKernels kKernels = {&grouped, &plain, &round_row};
  return kKernels;
}

}  // namespace shoehorn
