#include "tensor/pack.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/random.h"
#include "tensor/dtype.h"
#include "tensor/weight.h"

namespace shoehorn {
namespace {

BlockCodes random_codes(int bits, Random& random) {
  BlockCodes codes;
  for (auto& row : codes) {
    for (uint8_t& code : row) code = static_cast<uint8_t>(random.below(uint64_t{1} << bits));
  }
  return codes;
}

Format format_of(uint8_t bits) {
  return {Storage::grouped, bits, 32, ScaleEncoding::f16, CodeMeaning::symmetric};
}

TEST(Pack, RoundTrips) {
  Random random(1);
  for (const uint8_t bits : {2, 3, 4, 5, 6, 8}) {
    const BlockCodes codes = random_codes(bits, random);
    std::vector<std::byte> packed(static_cast<size_t>(bits) * 64, std::byte{0xFF});
    pack_codes(format_of(bits), codes, packed.data());
    EXPECT_EQ(unpack_codes(format_of(bits), packed.data()), codes) << int{bits};
  }
}

// The planes of tensor/format.h, spelled out: where each bit of a code lies.
TEST(Pack, PlanesLieAsTheHeaderSays) {
  Random random(2);
  for (const uint8_t bits : {2, 3, 4, 5, 6, 8}) {
    const BlockCodes codes = random_codes(bits, random);
    std::vector<std::byte> packed(static_cast<size_t>(bits) * 64);
    pack_codes(format_of(bits), codes, packed.data());
    const int low_bits = bits == 8 ? 8 : bits >= 4 ? 4 : 2;
    for (int row = 0; row < 16; ++row) {
      for (int column = 0; column < 32; ++column) {
        const int quad = column / 4;
        const int lane_byte = 4 * row + column % 4;
        const auto byte = [&](int vector) {
          return static_cast<int>(packed[vector * 64 + lane_byte]);
        };
        int code = 0;
        if (low_bits == 8) code = byte(quad);
        if (low_bits == 4) code = byte(quad % 4) >> (quad < 4 ? 0 : 4) & 15;
        if (low_bits == 2) code = byte(quad % 2) >> (quad / 2 * 2) & 3;
        const int high_bits = bits - low_bits;
        if (high_bits == 2) code |= (byte(4 + quad % 2) >> (quad / 2 * 2) & 3) << 4;
        if (high_bits == 1) code |= (byte(low_bits) >> quad & 1) << low_bits;
        ASSERT_EQ(code, codes[row][column]) << int{bits} << " bits, " << row << ", " << column;
      }
    }
  }
}

// A tile written by hand: one group of 32 columns with a minimum.
TEST(Pack, DequantizesATileWrittenByHand) {
  const Format format = {Storage::grouped, 4, 32, ScaleEncoding::f16, CodeMeaning::with_minimum};
  std::vector<std::byte> tile(static_cast<size_t>(tile_bytes(format, 32)));
  const auto put_half = [&](size_t index, float value) {
    const uint16_t half = float_to_f16(value);
    std::memcpy(tile.data() + 2 * index, &half, 2);
  };
  put_half(3, 0.5f);         // scale of row 3
  put_half(16 + 3, -1.25f);  // its minimum
  BlockCodes codes = {};
  codes[3][0] = 15;
  codes[3][31] = 2;
  pack_codes(format, codes, tile.data() + block_offsets(format, 0).codes);
  float values[32];
  dequantize_row({format, 16, 32, tile.data()}, 3, values);
  EXPECT_EQ(values[0], 15 * 0.5f - 1.25f);
  EXPECT_EQ(values[1], -1.25f);
  EXPECT_EQ(values[31], 2 * 0.5f - 1.25f);
  dequantize_row({format, 16, 32, tile.data()}, 4, values);
  EXPECT_EQ(values[0], 0);
}

// value = scale * u + minimum holds for symmetric formats as for those with a minimum.
TEST(Pack, ScaleAtGivesTheOffsetAsAMinimum) {
  const Format format = format_of(6);
  std::vector<std::byte> tile(static_cast<size_t>(tile_bytes(format, 32)));
  const uint16_t half = float_to_f16(0.25f);
  std::memcpy(tile.data() + 2 * 7, &half, 2);
  const ScaleAndMinimum found = scale_at(format, tile.data(), 7, 5);
  EXPECT_EQ(found.scale, 0.25f);
  EXPECT_EQ(found.minimum, -32 * 0.25f);
}

TEST(PackDeathTest, RowsOutOfRangeAreOurBug) {
  const Format format = format_of(4);
  std::vector<std::byte> tile(static_cast<size_t>(tile_bytes(format, 32)));
  float values[32];
  EXPECT_DEATH(dequantize_row({format, 3, 32, tile.data()}, 3, values), "row 3 of 3");
}

}  // namespace
}  // namespace shoehorn
