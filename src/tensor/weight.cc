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

void code_values(const Format& format, const ScaleAndMinimum& s, std::span<const uint8_t> codes,
                 float* values) {
  const auto each = [&](const auto& value) {
    for (size_t i = 0; i < codes.size(); ++i) values[i] = value(codes[i]);
  };
  switch (format.meaning) {
    case CodeMeaning::symmetric: {
      const int offset = 1 << (format.bits - 1);
      return each([&](int code) { return s.scale * static_cast<float>(code - offset); });
    }
    case CodeMeaning::iq4nl:
      return each([&](int code) {
        return s.scale * static_cast<float>(kIq4nl[static_cast<size_t>(code)]);
      });
    case CodeMeaning::with_minimum:
      return each([&](int code) { return s.scale * static_cast<float>(code) + s.minimum; });
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
    const auto codes = unpack_row(format, tile + block_offsets(format, column).codes, r);
    for (int64_t begin = 0; begin < kBlockColumns; begin += step) {
      const ScaleAndMinimum s = scale_at(format, tile, r, column + begin);
      code_values(format, s,
                  std::span(codes).subspan(static_cast<size_t>(begin), static_cast<size_t>(step)),
                  values + column + begin);
    }
  }
}

}  // namespace shoehorn
