// Foreign layouts into the internal format family, once, at load.
//
// Every GGUF block type maps to the member of the family with the same grid, without rounding:
// codes are moved, halves are copied, the 4- and 6-bit scales of K-quants become bytes. f32, f16,
// bf16 are copied. F8_E4M3 becomes bf16: exact where it has no scales, otherwise value * scale
// rounded to nearest even (relative error at most 2^-9), as the reference implementation does when
// it dequantizes to bf16.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/format.h"
#include "tensor/stored_type.h"

namespace shoehorn {

Format internal_format(StoredType type);

// A row-major matrix as a file holds it.
struct StoredMatrix {
  StoredType type = StoredType::f32;
  int64_t rows = 0;
  int64_t columns = 0;              // a multiple of block_elements(type)
  const std::byte* data = nullptr;  // any alignment
  // F8_E4M3 only: multiplier of each 128 x 128 tile, f32 [ceil(rows/128), ceil(columns/128)], any
  // alignment; null: none.
  const std::byte* f8_tile_scales = nullptr;
  int64_t row_stride_bytes = 0;  // from a row to the next; 0: stored_bytes(type, 1, columns)
  int64_t f8_tile_scale_stride =
      0;  // elements from a row of tiles to the next; 0: ceil(columns/128)
};

// Columns [begin, end) of a matrix as one of their own. REQUIRES: both are multiples of
// column_cut(type), or end is the last.
StoredMatrix column_range(const StoredMatrix& stored, int64_t begin, int64_t end);
// A matrix can be cut between columns that are multiples of this: a block, or a tile of scales.
int64_t column_cut(StoredType type);

// Writes rows [row_begin, row_end) of `stored` in internal_format(type) into `weight`, the start of
// the whole weight's bytes (size_bytes(format, rows, columns), 64-byte aligned). row_begin is a
// multiple of 16; row_end too, or it is `rows` (the padding of the last tile is then written as
// well). Threads may repack disjoint ranges.
void repack_rows(const StoredMatrix& stored, int64_t row_begin, int64_t row_end, std::byte* weight);

}  // namespace shoehorn
