// Every block type has one function `put` that writes one row of one section: a section is a scale
// header and the blocks it governs (32 columns, or 256 for K-quants), of 16 rows. Codes move as
// 32-bit words, four columns (a quad) of one row each: most file layouts need no more than a few
// masks and shifts a word to become bit planes, and Q4_0 and its kin none at all.
#include "tensor/repack.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "tensor/dtype.h"
#include "tensor/stored_blocks.h"

namespace shoehorn {
namespace {

constexpr uint16_t kHalfSign = 0x8000;
constexpr uint32_t kNibbles = 0x0F0F0F0F;

// The part of a section that belongs to one of its 16 rows. Strides as in tensor/format.h.
template <int kBits, int kHeaderHalves, int kScaleRuns>
class SectionRow {
 public:
  static constexpr int kBlockBytes = kScaleRuns * kTileRows + kBits * 64;
  static constexpr int kHeaderBytes = kHeaderHalves * kTileRows * 2;

  SectionRow(std::byte* section, int row) : header_(section), row_(row) {}

  // Half 0: scale or d; 1: minimum or e.
  void half(int index, uint16_t bits) {
    std::memcpy(header_ + (index * kTileRows + row_) * 2, &bits, sizeof(bits));
  }
  // The bytes before the codes of a block come in runs of one a row.
  void scale(int block, int run, int value) {
    header_[kHeaderBytes + block * kBlockBytes + run * kTileRows + row_] =
        static_cast<std::byte>(value);
  }
  // This row's lane of one 64-byte vector of a block's codes.
  void lane(int block, int vector, uint32_t word) {
    std::memcpy(header_ + kHeaderBytes + block * kBlockBytes + kScaleRuns * kTileRows +
                    vector * 64 + row_ * 4,
                &word, sizeof(word));
  }

 private:
  std::byte* header_;
  int row_;
};

// 16 bytes whose low nibbles are columns 0..15 and high nibbles columns 16..31: a 4-bit plane as it
// lies.
template <typename Row>
void put_nibbles(Row& row, int block, const uint8_t* qs) {
  for (int v = 0; v < 4; ++v) row.lane(block, v, read_u32(qs + 4 * v));
}

// A 4-bit plane of the low (shift 0) or high (shift 4) nibbles of 32 bytes, one a column.
template <typename Row>
void put_nibbles_of_bytes(Row& row, int block, const uint8_t* bytes, int shift) {
  for (int v = 0; v < 4; ++v) {
    const uint32_t first = read_u32(bytes + 4 * v) >> shift & kNibbles;
    const uint32_t second = read_u32(bytes + 4 * v + 16) >> shift & kNibbles;
    row.lane(block, v, first | second << 4);
  }
}

// A 2-bit plane at `vector` of bits shift, shift + 1 of 32 bytes, one a column.
template <typename Row>
void put_bit_pairs(Row& row, int block, int vector, const uint8_t* bytes, int shift) {
  for (int w = 0; w < 2; ++w) {
    uint32_t word = 0;
    for (int j = 0; j < 4; ++j) {
      word |= (read_u32(bytes + 4 * (w + 2 * j)) >> shift & 0x03030303) << (2 * j);
    }
    row.lane(block, vector + w, word);
  }
}

// A 1-bit plane at `vector` of bit `shift` of 32 bytes, one a column.
template <typename Row>
void put_bits(Row& row, int block, int vector, const uint8_t* bytes, int shift) {
  uint32_t word = 0;
  for (int q = 0; q < 8; ++q) word |= (read_u32(bytes + 4 * q) >> shift & 0x01010101) << q;
  row.lane(block, vector, word);
}

// Exchanges the bits under `mask` with those `distance` above them.
uint32_t swap_bits(uint32_t x, uint32_t mask, int distance) {
  const uint32_t t = (x ^ x >> distance) & mask;
  return x ^ t ^ t << distance;
}

// Even bits to the low half, odd bits to the high half, each in order.
uint32_t unshuffle(uint32_t x) {
  x = swap_bits(x, 0x22222222, 1);
  x = swap_bits(x, 0x0C0C0C0C, 2);
  x = swap_bits(x, 0x00F000F0, 4);
  return swap_bits(x, 0x0000FF00, 8);
}

// Bit 4q + i (column order) to bit 8i + q (a lane of the 1-bit plane): the index's five bits
// rotated by two places.
uint32_t lane_of_column_bits(uint32_t columns) {
  return unshuffle(unshuffle(columns));
}

using RowOfQ4_0 = SectionRow<4, 1, 0>;
void put(const BlockQ4_0& block, RowOfQ4_0 row) {
  row.half(0, read_u16(block.d));
  put_nibbles(row, 0, block.qs);
}

using RowOfQ4_1 = SectionRow<4, 2, 0>;
void put(const BlockQ4_1& block, RowOfQ4_1 row) {
  row.half(0, read_u16(block.d));
  row.half(1, read_u16(block.m));
  put_nibbles(row, 0, block.qs);
}

using RowOfQ5_0 = SectionRow<5, 1, 0>;
void put(const BlockQ5_0& block, RowOfQ5_0 row) {
  row.half(0, read_u16(block.d));
  put_nibbles(row, 0, block.qs);
  row.lane(0, 4, lane_of_column_bits(read_u32(block.qh)));
}

using RowOfQ5_1 = SectionRow<5, 2, 0>;
void put(const BlockQ5_1& block, RowOfQ5_1 row) {
  row.half(0, read_u16(block.d));
  row.half(1, read_u16(block.m));
  put_nibbles(row, 0, block.qs);
  row.lane(0, 4, lane_of_column_bits(read_u32(block.qh)));
}

using RowOfQ8_0 = SectionRow<8, 1, 0>;
void put(const BlockQ8_0& block, RowOfQ8_0 row) {
  row.half(0, read_u16(block.d));
  for (int q = 0; q < 8; ++q) {
    row.lane(0, q, read_u32(block.qs + 4 * q) ^ 0x80808080);  // int8 to int8 + 128
  }
}

using RowOfQ2_K = SectionRow<2, 2, 2>;
void put(const BlockQ2_K& block, RowOfQ2_K row) {
  row.half(0, read_u16(block.d));
  row.half(1, read_u16(block.dmin) ^ kHalfSign);  // the file subtracts its minimum
  for (int b = 0; b < 8; ++b) {
    row.scale(b, 0, block.scales[2 * b]);  // scale | minimum << 4, as in the file
    row.scale(b, 1, block.scales[2 * b + 1]);
    put_bit_pairs(row, b, 0, block.qs + 32 * (b / 4), 2 * (b % 4));
  }
}

using RowOfQ3_K = SectionRow<3, 1, 2>;
void put(const BlockQ3_K& block, RowOfQ3_K row) {
  row.half(0, read_u16(block.d));
  for (int b = 0; b < 8; ++b) {
    row.scale(b, 0, q3_k_scale(block, 2 * b));
    row.scale(b, 1, q3_k_scale(block, 2 * b + 1));
    put_bit_pairs(row, b, 0, block.qs + 32 * (b / 4), 2 * (b % 4));
    put_bits(row, b, 2, block.hmask, b);
  }
}

using RowOfQ4_K = SectionRow<4, 2, 2>;
void put(const BlockQ4_K& block, RowOfQ4_K row) {
  row.half(0, read_u16(block.d));
  row.half(1, read_u16(block.dmin) ^ kHalfSign);
  for (int b = 0; b < 8; ++b) {
    const ScaleAndMinimum6 s = k_scale_and_minimum(block.scales, b);
    row.scale(b, 0, s.scale);
    row.scale(b, 1, s.minimum);
    put_nibbles_of_bytes(row, b, block.qs + 32 * (b / 2), 4 * (b % 2));
  }
}

using RowOfQ5_K = SectionRow<5, 2, 2>;
void put(const BlockQ5_K& block, RowOfQ5_K row) {
  row.half(0, read_u16(block.d));
  row.half(1, read_u16(block.dmin) ^ kHalfSign);
  for (int b = 0; b < 8; ++b) {
    const ScaleAndMinimum6 s = k_scale_and_minimum(block.scales, b);
    row.scale(b, 0, s.scale);
    row.scale(b, 1, s.minimum);
    put_nibbles_of_bytes(row, b, block.qs + 32 * (b / 2), 4 * (b % 2));
    put_bits(row, b, 4, block.qh, b);
  }
}

using RowOfQ6_K = SectionRow<6, 1, 2>;
void put(const BlockQ6_K& block, RowOfQ6_K row) {
  row.half(0, read_u16(block.d));
  for (int b = 0; b < 8; ++b) {
    const int n = b / 4;
    const int j = b % 4;
    row.scale(b, 0, block.scales[2 * b]);
    row.scale(b, 1, block.scales[2 * b + 1]);
    put_nibbles_of_bytes(row, b, block.ql + 64 * n + 32 * (j % 2), 4 * (j / 2));
    put_bit_pairs(row, b, 4, block.qh + 32 * n, 2 * j);
  }
}

using RowOfIQ4_NL = SectionRow<4, 1, 0>;
void put(const BlockIQ4_NL& block, RowOfIQ4_NL row) {
  row.half(0, read_u16(block.d));
  put_nibbles(row, 0, block.qs);
}

using RowOfIQ4_XS = SectionRow<4, 1, 1>;
void put(const BlockIQ4_XS& block, RowOfIQ4_XS row) {
  row.half(0, read_u16(block.d));
  for (int b = 0; b < 8; ++b) {
    row.scale(b, 0, iq4_xs_scale(block, b));
    put_nibbles(row, b, block.qs + 16 * b);
  }
}

constexpr int64_t kF8TileSide = 128;

int64_t row_stride(const StoredMatrix& stored) {
  return stored.row_stride_bytes > 0 ? stored.row_stride_bytes
                                     : stored_bytes(stored.type, 1, stored.columns);
}

// Rows row_begin.. of one tile. Sections of a tile follow each other as their columns do.
template <typename Block>
void repack_tile(const StoredMatrix& stored, int64_t row_begin, std::byte* tile) {
  const Format format = internal_format(stored.type);
  const int64_t sections = stored.columns / Block::kElements;
  const int64_t section_bytes = tile_bytes(format, Block::kElements);
  const int64_t row_bytes = row_stride(stored);
  const auto rows = static_cast<int>(std::min(kTileRows, stored.rows - row_begin));
  if (rows < kTileRows) {
    std::memset(tile, 0, static_cast<size_t>(sections * section_bytes));
  }
  const std::byte* source = stored.data + row_begin * row_bytes;
  for (int64_t i = 0; i < sections; ++i) {
    for (int r = 0; r < rows; ++r) {
      // Blocks are structs of bytes: any address is aligned for them.
      const auto* block = reinterpret_cast<const Block*>(source + r * row_bytes) + i;
      put(*block, {tile + i * section_bytes, r});
    }
  }
}

// F8_E4M3: 256 possible codes, so a table of bf16 values for each scale does the arithmetic.
std::array<uint16_t, 256> f8_table(float scale) {
  std::array<uint16_t, 256> table;
  for (int code = 0; code < 256; ++code) {
    table[code] = float_to_bf16(f8_e4m3_to_float(static_cast<uint8_t>(code)) * scale);
  }
  return table;
}

float f8_tile_scale(const StoredMatrix& stored, int64_t index) {
  if (stored.f8_tile_scales == nullptr) return 1;
  float scale;
  std::memcpy(&scale, stored.f8_tile_scales + index * 4, sizeof(scale));
  return scale;
}

// Rows [row_begin, row_end) of one row of scale tiles.
void repack_f8(const StoredMatrix& stored, int64_t row_begin, int64_t row_end, std::byte* weight) {
  const int64_t tiles_across = (stored.columns + kF8TileSide - 1) / kF8TileSide;
  const int64_t scale_stride =
      stored.f8_tile_scale_stride > 0 ? stored.f8_tile_scale_stride : tiles_across;
  for (int64_t t = 0; t < tiles_across; ++t) {
    const std::array<uint16_t, 256> table =
        f8_table(f8_tile_scale(stored, row_begin / kF8TileSide * scale_stride + t));
    const int64_t column_end = std::min(stored.columns, (t + 1) * kF8TileSide);
    for (int64_t row = row_begin; row < row_end; ++row) {
      for (int64_t column = t * kF8TileSide; column < column_end; ++column) {
        const auto code = static_cast<uint8_t>(stored.data[row * row_stride(stored) + column]);
        std::memcpy(weight + 2 * (row * stored.columns + column), &table[code], 2);
      }
    }
  }
}

}  // namespace

Format internal_format(StoredType type) {
  using enum ScaleEncoding;
  using enum CodeMeaning;
  switch (type) {
    case StoredType::f32:
      return kF32;
    case StoredType::f16:
      return kF16;
    case StoredType::bf16:
    case StoredType::f8_e4m3:
      return kBf16;
    case StoredType::q4_0:
      return {Storage::grouped, 4, 32, f16, symmetric};
    case StoredType::q4_1:
      return {Storage::grouped, 4, 32, f16, with_minimum};
    case StoredType::q5_0:
      return {Storage::grouped, 5, 32, f16, symmetric};
    case StoredType::q5_1:
      return {Storage::grouped, 5, 32, f16, with_minimum};
    case StoredType::q8_0:
      return {Storage::grouped, 8, 32, f16, symmetric};
    case StoredType::q2_k:
      return {Storage::grouped, 2, 16, two_level_packed4, with_minimum};
    case StoredType::q3_k:
      return {Storage::grouped, 3, 16, two_level, symmetric};
    case StoredType::q4_k:
      return {Storage::grouped, 4, 32, two_level, with_minimum};
    case StoredType::q5_k:
      return {Storage::grouped, 5, 32, two_level, with_minimum};
    case StoredType::q6_k:
      return {Storage::grouped, 6, 16, two_level, symmetric};
    case StoredType::iq4_nl:
      return {Storage::grouped, 4, 32, f16, iq4nl};
    case StoredType::iq4_xs:
      return {Storage::grouped, 4, 32, two_level, iq4nl};
  }
  return {};
}

int64_t column_cut(StoredType type) {
  return type == StoredType::f8_e4m3 ? kF8TileSide : block_elements(type);
}

StoredMatrix column_range(const StoredMatrix& stored, int64_t begin, int64_t end) {
  const int64_t cut = column_cut(stored.type);
  CHECK(begin % cut == 0 && (end % cut == 0 || end == stored.columns), "columns [{}, {}) of {}",
        begin, end, stored.columns);
  StoredMatrix range = stored;
  range.row_stride_bytes = row_stride(stored);
  range.f8_tile_scale_stride = stored.f8_tile_scale_stride > 0
                                   ? stored.f8_tile_scale_stride
                                   : (stored.columns + kF8TileSide - 1) / kF8TileSide;
  range.columns = end - begin;
  range.data += stored_bytes(stored.type, 1, begin);
  if (range.f8_tile_scales != nullptr) range.f8_tile_scales += begin / kF8TileSide * 4;
  return range;
}

void repack_rows(const StoredMatrix& stored, int64_t row_begin, int64_t row_end,
                 std::byte* weight) {
  CHECK(row_begin % kTileRows == 0 && (row_end % kTileRows == 0 || row_end == stored.rows) &&
            0 <= row_begin && row_begin <= row_end && row_end <= stored.rows,
        "rows [{}, {}) of {}", row_begin, row_end, stored.rows);
  const Format format = internal_format(stored.type);
  if (stored.type == StoredType::f8_e4m3) {
    for (int64_t row = row_begin; row < row_end;) {
      const int64_t end = std::min(row_end, (row / kF8TileSide + 1) * kF8TileSide);
      repack_f8(stored, row, end, weight);
      row = end;
    }
    return;
  }
  if (format.storage != Storage::grouped) {
    const int64_t row_bytes = size_bytes(format, 1, stored.columns);
    for (int64_t row = row_begin; row < row_end; ++row) {
      std::memcpy(weight + row * row_bytes, stored.data + row * row_stride(stored),
                  static_cast<size_t>(row_bytes));
    }
    return;
  }
  const int64_t bytes_per_tile = tile_bytes(format, stored.columns);
  for (int64_t row = row_begin; row < row_end; row += kTileRows) {
    visit_block(
        stored.type,
        [&]<typename Block>() {
          repack_tile<Block>(stored, row, weight + row / kTileRows * bytes_per_tile);
          return true;
        },
        false);
  }
}

}  // namespace shoehorn
