// The specification of linear layers in plain loops: the same integer sums and the same float
// operations, in the same order, as the vector kernels.
#include <algorithm>
#include <cmath>

#include "ops/cpu/linear_kernels.h"
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

void grouped(const GroupedArguments& a) {
  const Format& format = *a.format;
  const int64_t blocks = a.columns / kBlockColumns;
  const int64_t group = format.group < kBlockColumns ? format.group : kBlockColumns;
  for (int64_t i = 0; i < a.m * kTileRows; ++i) a.sums[i] = 0;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t column = block * kBlockColumns;
    const BlockCodes codes = unpack_codes(format, a.tile + block_offsets(format, column).codes);
    for (int64_t begin = 0; begin < kBlockColumns; begin += group) {
      for (int64_t r = 0; r < kTileRows; ++r) {
        const ScaleAndMinimum s = scale_at(format, a.tile, r, column + begin);
        for (int64_t i = 0; i < a.m; ++i) {
          const int8_t* x = a.codes + i * a.columns + column;
          const float sx = a.scales[i * blocks + block];
          int32_t dot = 0, sum = 0;
          for (int64_t c = begin; c < begin + group; ++c) {
            dot += code_value(format, codes[r][c]) * x[c];
            sum += x[c];
          }
          float& y = a.sums[i * kTileRows + r];
          y = std::fma(static_cast<float>(dot), s.scale * sx, y);
          if (format.has_minimum()) y = std::fma(s.minimum, sx * static_cast<float>(sum), y);
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

void round_row(const float* x, int64_t columns, int8_t* codes, float* scales, int32_t* half_sums) {
  const int64_t blocks = (columns + kBlockColumns - 1) / kBlockColumns;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t begin = block * kBlockColumns;
    float largest = 0;
    for (int64_t c = begin; c < begin + kBlockColumns && c < columns; ++c) {
      largest = std::max(largest, std::fabs(x[c]));
    }
    const float scale = largest / 127.0f;
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    scales[block] = scale;
    for (int64_t half = 0; half < 2; ++half) {
      int32_t sum = 0;
      for (int64_t c = begin + half * 16; c < begin + half * 16 + 16; ++c) {
        const int code = c < columns ? static_cast<int>(std::nearbyint(x[c] * inverse)) : 0;
        codes[c] = static_cast<int8_t>(code);
        sum += code;
      }
      half_sums[block * 2 + half] = sum;
    }
  }
}

}  // namespace

const LinearKernels& linear_kernels_generic() {
  static constexpr LinearKernels kKernels = {&grouped, &plain, &round_row};
  return kKernels;
}

}  // namespace shoehorn
