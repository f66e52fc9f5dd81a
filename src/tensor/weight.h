// Weight: a matrix of parameters as one value: codes, scales and format travel together. A view;
// the bytes belong to an arena, a mapped file or a staging buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/format.h"

namespace shoehorn {

struct Weight {
  Format format;
  int64_t rows = 0;     // outputs
  int64_t columns = 0;  // inputs
  const std::byte* data =
      nullptr;  // size_bytes() bytes in the layout of tensor/format.h; 64-byte aligned for
                // grouped formats, aligned to the element for plain ones

  int64_t size_bytes() const { return shoehorn::size_bytes(format, rows, columns); }
  const std::byte* tile(int64_t index) const { return data + index * tile_bytes(format, columns); }
};

// A matrix cut into equal parts that may lie in different places: the gate, up or down matrices of
// a feed-forward's neuron groups.
struct SplitWeight {
  Format format;
  int64_t rows = 0;  // of one part
  int64_t columns = 0;
  std::span<const std::byte* const> parts;  // each laid out as a Weight's data; null: left out

  Weight part(int64_t index) const { return {format, rows, columns, parts[index]}; }
};

// Row `row` as floats, exactly what the codes mean. values: [columns].
void dequantize_row(const Weight& weight, int64_t row, float* values);

}  // namespace shoehorn
