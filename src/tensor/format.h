// The internal format family: how a weight matrix lies in memory for the kernels.
//
// Plain formats (f32, f16, bf16) are row-major [rows, columns].
//
// Grouped formats hold unsigned codes of 2, 3, 4, 5, 6 or 8 bits and one scale (and perhaps one
// minimum) for each `group` neighbouring columns of a row. The value of a code u is
//
//   symmetric       scale * (u - 2^(bits-1))
//   with minimum    scale * u + minimum
//   codebook iq4nl  scale * kIq4nl[u]                      (bits = 4)
//
// Scales come in two encodings. `f16`: one IEEE half a group (and one for the minimum).
// `two_level`: for each 256 columns of a row one half d (and one half e for the minimum), and for
// each group a signed byte s (and t, 0..127): scale = d * s, minimum = e * t, both exact in float.
// Every ggml block type of 2 to 8 bits repacks into a member of the family without rounding
// (tensor/repack.h).
//
// Layout of a grouped weight. Rows are cut into tiles of 16, the last one padded with code 0 and
// scale 0; a tile holds all columns of its 16 rows as one contiguous run of bytes, tile after tile.
// Inside a tile, columns are cut into blocks of 32, and what belongs to a block lies together:
//
//   at each scale header (f16: every `group` columns, group >= 32; two_level: every 256 columns)
//       half scale_or_d[16 rows];  half minimum_or_e[16 rows], only with minimum
//   at each block of 32 columns, two_level only
//       for each group in it (1, or 2 of 16 columns): int8 s[16 rows]; then, only with minimum,
//       int8 t[16 rows]. two_level with packed4 (2-bit weights): one byte s | t << 4 a row instead
//       of the two
//   codes of the block: bits * 64 bytes, as bit planes, each made of 64-byte vectors
//
// A "quad" is the four neighbouring columns 4q..4q+3; byte 4r + i of a vector belongs to row r of
// the tile and column 4q + i, so that a 32-bit lane is one row: the operand layout of VPDPBUSD, of
// AMX tiles and of DP4A.
//
// - 8-bit plane: 8 vectors; vector q holds quad q
// - 4-bit plane: 4 vectors; vector v holds quad v in its low nibbles and quad v + 4 in its high
// ones
// - 2-bit plane: 2 vectors; bits 2j, 2j+1 of vector w hold quad w + 2j, j = 0..3
// - 1-bit plane: 1 vector; bit q holds quad q
//
// 6 bits = 4-bit plane (low bits), then 2-bit plane; 5 = 4, then 1; 3 = 2, then 1.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace shoehorn {

inline constexpr int64_t kTileRows = 16;
inline constexpr int64_t kBlockColumns = 32;
inline constexpr int64_t kTwoLevelColumns = 256;

// ggml's non-linear 4-bit code book (IQ4_NL, IQ4_XS).
inline constexpr std::array<int8_t, 16> kIq4nl = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                  1,    13,   25,  38,  53,  69,  89,  113};

enum class Storage : uint8_t { f32, f16, bf16, grouped };
enum class ScaleEncoding : uint8_t { none, f16, two_level, two_level_packed4 };
enum class CodeMeaning : uint8_t { symmetric, with_minimum, iq4nl };

struct Format {
  Storage storage = Storage::f32;
  // The rest for Storage::grouped only.
  uint8_t bits = 0;    // 2, 3, 4, 5, 6, 8
  uint16_t group = 0;  // columns that share a scale: 16 (two_level only), 32, 64, 128, 256
  ScaleEncoding scale = ScaleEncoding::none;
  CodeMeaning meaning = CodeMeaning::symmetric;

  bool operator==(const Format&) const = default;
  bool has_minimum() const { return meaning == CodeMeaning::with_minimum; }
  bool two_level() const {
    return scale == ScaleEncoding::two_level || scale == ScaleEncoding::two_level_packed4;
  }
};

// One of the family's valid members: REQUIRED of every Format that reaches a Weight.
bool is_valid(const Format& format);

// "f32", "bf16", "int4 g32 f16+min", "int6 g16 two-level", "iq4nl g32 f16".
std::string name(const Format& format);

// Columns must be a multiple of this: 1 (plain), the group (f16), 256 (two-level).
int64_t column_multiple(const Format& format);

// Columns from one scale header to the next: the group, or 256.
int64_t header_columns(const Format& format);
int64_t header_bytes(const Format& format);       // at each scale header
int64_t block_scale_bytes(const Format& format);  // two-level bytes before a block's codes
inline int64_t block_code_bytes(const Format& format) {
  return format.bits * 64;
}

// Bytes of one tile (16 rows) of a grouped weight; of a whole weight.
int64_t tile_bytes(const Format& format, int64_t columns);
int64_t size_bytes(const Format& format, int64_t rows, int64_t columns);

// Average bits a weight costs, scales included (padding rows not counted).
double bits_per_weight(const Format& format);

inline constexpr Format kF32 = {Storage::f32};
inline constexpr Format kF16 = {Storage::f16};
inline constexpr Format kBf16 = {Storage::bf16};

}  // namespace shoehorn
