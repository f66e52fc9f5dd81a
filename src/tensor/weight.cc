#include "tensor/weight.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "tensor/dtype.h"
#include "tensor/pack.h"

namespace shoehorn {
namespace {

void dequantize_plain_row(const Weight& weight, int64_t row, float* values) {
  const int64_t n = weight.columns;
  if (weight.format.storage == Storage::f32) {
    std::memcpy(values, weight.data + row * n * 4, static_cast<size_t>(n) * 4);
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, weight.data + (row * n + i) * 2, 2);
    values[i] = weight.format.storage == Storage::f16 ? f16_to_float(bits) : bf16_to_float(bits);
  }
}

}  // namespace

void dequantize_row(const Weight& weight, int64_t row, float* values) {
  CHECK(0 <= row && row < weight.rows, "row {} of {}", row, weight.rows);
  const Format& format = weight.format;
  if (format.storage != Storage::grouped) return dequantize_plain_row(weight, row, values);
  const std::byte* tile = weight.tile(row / kTileRows);
  const int64_t r = row % kTileRows;
  const int64_t step = std::min<int64_t>(format.group, kBlockColumns);
  for (int64_t column = 0; column < weight.columns; column += kBlockColumns) {
    const BlockCodes codes = unpack_codes(format, tile + block_offsets(format, column).codes);
    for (int64_t i = 0; i < kBlockColumns; ++i) {
      if (i % step == 0) {
        const ScaleAndMinimum s = scale_at(format, tile, r, column + i);
        for (int64_t j = i; j < i + step; ++j) {
          const int u = codes[r][j];
          if (format.meaning == CodeMeaning::symmetric) {
            values[column + j] = s.scale * static_cast<float>(u - (1 << (format.bits - 1)));
          } else if (format.meaning == CodeMeaning::iq4nl) {
            values[column + j] = s.scale * static_cast<float>(kIq4nl[u]);
          } else {
            values[column + j] = s.scale * static_cast<float>(u) + s.minimum;
          }
        }
      }
    }
  }
}

}  // namespace shoehorn
