#include "tensor/format.h"

#include <gtest/gtest.h>

#include <vector>

#include "tensor/pack.h"
#include "tensor/repack.h"

namespace shoehorn {
namespace {

Format grouped(uint8_t bits, uint16_t group, ScaleEncoding scale, CodeMeaning meaning) {
  return {Storage::grouped, bits, group, scale, meaning};
}

using enum ScaleEncoding;
using enum CodeMeaning;

TEST(Format, NamesSayWhatItIs) {
  EXPECT_EQ(name(kF32), "f32");
  EXPECT_EQ(name(kF16), "f16");
  EXPECT_EQ(name(kBf16), "bf16");
  EXPECT_EQ(name(grouped(4, 32, f16, with_minimum)), "int4 g32 f16+min");
  EXPECT_EQ(name(grouped(6, 16, two_level, symmetric)), "int6 g16 two-level");
  EXPECT_EQ(name(grouped(4, 32, f16, iq4nl)), "iq4nl g32 f16");
}

TEST(Format, ValidMembersOnly) {
  EXPECT_TRUE(is_valid(kF32));
  EXPECT_TRUE(is_valid(grouped(8, 32, f16, symmetric)));
  EXPECT_TRUE(is_valid(grouped(4, 128, f16, with_minimum)));
  EXPECT_TRUE(is_valid(grouped(2, 16, two_level_packed4, with_minimum)));
  EXPECT_FALSE(is_valid({Storage::f32, 4}));
  EXPECT_FALSE(is_valid({Storage::bf16, 0, 0, none, with_minimum}));
  EXPECT_FALSE(is_valid(grouped(7, 32, f16, symmetric)));
  EXPECT_FALSE(is_valid(grouped(1, 32, f16, symmetric)));
  EXPECT_FALSE(is_valid(grouped(4, 16, f16, symmetric)));
  EXPECT_FALSE(is_valid(grouped(4, 48, f16, symmetric)));
  EXPECT_FALSE(is_valid(grouped(4, 64, two_level, symmetric)));
  EXPECT_FALSE(is_valid(grouped(5, 32, f16, iq4nl)));
  EXPECT_FALSE(is_valid(grouped(4, 32, none, symmetric)));
  EXPECT_FALSE(is_valid(grouped(4, 16, two_level_packed4, with_minimum)));
  EXPECT_FALSE(is_valid(grouped(2, 16, two_level_packed4, symmetric)));
}

TEST(Format, BitsPerWeight) {
  EXPECT_DOUBLE_EQ(bits_per_weight(kF32), 32);
  EXPECT_DOUBLE_EQ(bits_per_weight(kBf16), 16);
  struct Case {
    StoredType type;
    double bits;
  };
  // As the file, but that 6- and 4-bit scales grow to bytes (Q3_K, Q4_K, Q5_K, IQ4_XS).
  const Case cases[] = {
      {StoredType::q4_0, 4.5},    {StoredType::q4_1, 5},     {StoredType::q5_0, 5.5},
      {StoredType::q5_1, 6},      {StoredType::q8_0, 8.5},   {StoredType::q2_k, 2.625},
      {StoredType::q3_k, 3.5625}, {StoredType::q4_k, 4.625}, {StoredType::q5_k, 5.625},
      {StoredType::q6_k, 6.5625}, {StoredType::iq4_nl, 4.5}, {StoredType::iq4_xs, 4.3125}};
  for (const Case& c : cases) {
    EXPECT_DOUBLE_EQ(bits_per_weight(internal_format(c.type)), c.bits) << name(c.type);
  }
}

TEST(Format, SizesCountThePaddingOfTheLastTile) {
  const Format format = grouped(4, 32, f16, symmetric);
  EXPECT_EQ(column_multiple(format), 32);
  EXPECT_EQ(tile_bytes(format, 64), 2 * (32 + 256));
  EXPECT_EQ(size_bytes(format, 16, 64), tile_bytes(format, 64));
  EXPECT_EQ(size_bytes(format, 17, 64), 2 * tile_bytes(format, 64));
  EXPECT_EQ(size_bytes(kF32, 3, 5), 60);
  EXPECT_EQ(size_bytes(kBf16, 3, 5), 30);
  EXPECT_EQ(column_multiple(grouped(6, 16, two_level, symmetric)), 256);
  EXPECT_EQ(column_multiple(kF16), 1);
}

// Headers, block scales and codes of a tile follow each other and fill it.
TEST(Format, PartsOfATileTileIt) {
  const std::vector<Format> formats = {
      grouped(4, 32, f16, with_minimum),       grouped(4, 128, f16, symmetric),
      grouped(8, 256, f16, symmetric),         grouped(6, 16, two_level, symmetric),
      grouped(4, 32, two_level, with_minimum), grouped(2, 16, two_level_packed4, with_minimum)};
  for (const Format& format : formats) {
    const int64_t columns = 768;
    int64_t end = 0;
    for (int64_t column = 0; column < columns; column += kBlockColumns) {
      const BlockOffsets at = block_offsets(format, column);
      if (column % header_columns(format) == 0) {
        EXPECT_EQ(at.header, end) << name(format) << " column " << column;
        end += header_bytes(format);
      }
      EXPECT_EQ(at.block_scales, end) << name(format) << " column " << column;
      EXPECT_EQ(at.codes, end + block_scale_bytes(format));
      end = at.codes + block_code_bytes(format);
    }
    EXPECT_EQ(end, tile_bytes(format, columns)) << name(format);
  }
}

}  // namespace
}  // namespace shoehorn
