// Reading and writing the grouped layout of tensor/format.h, a block (16 rows x 32 columns) at a
// time. Plain code: repack, quantizers and tests use it; the kernels read the layout with their own
// instructions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "tensor/format.h"

namespace shoehorn {

// Where the parts of a block lie, in bytes from the start of its tile. column: a multiple of 32.
struct BlockOffsets {
  int64_t header;        // the scale header that governs the block
  int64_t block_scales;  // two-level bytes (equal to codes for f16 scales)
  int64_t codes;
};
BlockOffsets block_offsets(const Format& format, int64_t column);

using BlockCodes = std::array<std::array<uint8_t, kBlockColumns>, kTileRows>;  // [row][column]

// codes: block_code_bytes(format) bytes.
void pack_codes(const Format& format, const BlockCodes& block, std::byte* codes);
BlockCodes unpack_codes(const Format& format, const std::byte* codes);
// One row of the block alone.
std::array<uint8_t, kBlockColumns> unpack_row(const Format& format, const std::byte* codes,
                                              int64_t row);

// The scale and minimum in force for one row of a tile at one column, as floats. A symmetric
// format's minimum is -offset * scale, so value = scale * u + minimum holds for all but the code
// book.
struct ScaleAndMinimum {
  float scale;
  float minimum;
};
ScaleAndMinimum scale_at(const Format& format, const std::byte* tile, int64_t row, int64_t column);

}  // namespace shoehorn
