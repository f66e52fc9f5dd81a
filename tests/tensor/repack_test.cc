#include "tensor/repack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/pack.h"
#include "tensor/weight.h"
#include "tests/tensor/random_blocks.h"

namespace shoehorn {
namespace {

constexpr std::byte kPoison{0xAB};

// A weight with bytes of its own, behind which nothing may be written.
struct OwnedWeight {
  std::vector<std::byte> bytes;
  Weight weight;

  OwnedWeight(Format format, int64_t rows, int64_t columns)
      : bytes(static_cast<size_t>(size_bytes(format, rows, columns)) + 64, kPoison),
        weight{format, rows, columns, bytes.data()} {}

  bool margin_is_untouched() const {
    return std::all_of(bytes.end() - 64, bytes.end(), [](std::byte b) { return b == kPoison; });
  }
};

OwnedWeight repacked(const StoredMatrix& stored) {
  OwnedWeight owned(internal_format(stored.type), stored.rows, stored.columns);
  repack_rows(stored, 0, stored.rows, owned.bytes.data());
  return owned;
}

class RepackEachType : public testing::TestWithParam<StoredType> {};

std::string type_name(const testing::TestParamInfo<StoredType>& info) {
  return name(info.param);
}

TEST_P(RepackEachType, FormatIsValid) {
  EXPECT_TRUE(is_valid(internal_format(GetParam())));
}

// A range of columns repacks to what those columns mean in the whole.
TEST_P(RepackEachType, AColumnRangeIsAMatrixOfItsOwn) {
  const StoredType type = GetParam();
  const int64_t cut = column_cut(type), columns = 4 * cut, rows = 21;
  Random random(3);
  const std::vector<std::byte> bytes =
      random_blocks(type, rows * columns / block_elements(type), random);
  std::vector<float> scales;
  for (int64_t i = 0; i < 4; ++i) scales.push_back(0.5f + static_cast<float>(i));
  StoredMatrix stored = {type, rows, columns, bytes.data()};
  if (type == StoredType::f8_e4m3) {
    stored.f8_tile_scales = reinterpret_cast<const std::byte*>(scales.data());
  }
  const OwnedWeight whole = repacked(stored), range = repacked(column_range(stored, cut, 3 * cut));
  ASSERT_TRUE(range.margin_is_untouched());
  std::vector<float> expected(static_cast<size_t>(columns)), found(static_cast<size_t>(2 * cut));
  for (int64_t row = 0; row < rows; ++row) {
    dequantize_row(whole.weight, row, expected.data());
    dequantize_row(range.weight, row, found.data());
    ASSERT_EQ(std::memcmp(found.data(), expected.data() + cut, found.size() * sizeof(float)), 0)
        << "row " << row;
  }
}

// What the repacked weight means is what the file means, bit for bit, whatever the bits are.
TEST_P(RepackEachType, ValuesAreTheFiles) {
  const StoredType type = GetParam();
  Random random(7);
  for (const int64_t rows : {1, 15, 16, 17, 50}) {
    for (const int64_t blocks : {1, 2, 5}) {
      const int64_t columns = blocks * std::max<int64_t>(block_elements(type), 1);
      std::vector<std::byte> bytes = random_blocks(type, rows * blocks, random);
      bytes.insert(bytes.begin(), kPoison);  // no alignment is promised
      const StoredMatrix stored = {type, rows, columns, bytes.data() + 1};
      const OwnedWeight owned = repacked(stored);
      ASSERT_TRUE(owned.margin_is_untouched());
      std::vector<float> expected(static_cast<size_t>(columns));
      std::vector<float> found(static_cast<size_t>(columns));
      for (int64_t row = 0; row < rows; ++row) {
        dequantize_stored_row(type, stored.data + row * stored_bytes(type, 1, columns), columns,
                              expected.data());
        dequantize_row(owned.weight, row, found.data());
        for (int64_t i = 0; i < columns; ++i) {
          if (std::isnan(expected[i])) {
            ASSERT_TRUE(std::isnan(found[i]));
            continue;
          }
          ASSERT_EQ(std::bit_cast<uint32_t>(found[i]), std::bit_cast<uint32_t>(expected[i]))
              << rows << " rows, row " << row << " column " << i << ": " << found[i] << " and not "
              << expected[i];
        }
      }
    }
  }
}

TEST_P(RepackEachType, RangesOfRowsMakeTheSameBytes) {
  const StoredType type = GetParam();
  Random random(8);
  const int64_t rows = 77;
  const int64_t columns = 2 * block_elements(type);
  const std::vector<std::byte> bytes = random_blocks(type, rows * 2, random);
  const StoredMatrix stored = {type, rows, columns, bytes.data()};
  const OwnedWeight whole = repacked(stored);
  OwnedWeight parts(internal_format(type), rows, columns);
  for (const auto& [begin, end] : {std::pair{48, 77}, {0, 16}, {16, 48}}) {
    repack_rows(stored, begin, end, parts.bytes.data());
  }
  EXPECT_EQ(whole.bytes, parts.bytes);
}

INSTANTIATE_TEST_SUITE_P(AllTypes, RepackEachType, testing::ValuesIn(kAllStoredTypes), type_name);

TEST(Repack, PaddingIsZero) {
  Random random(9);
  for (const StoredType type : kAllStoredTypes) {
    const Format format = internal_format(type);
    if (format.storage != Storage::grouped) continue;
    const int64_t columns = block_elements(type) * 3;
    const std::vector<std::byte> bytes = random_blocks(type, 5 * 3, random);
    const OwnedWeight owned = repacked({type, 5, columns, bytes.data()});
    for (int64_t column = 0; column < columns; column += kBlockColumns) {
      const std::byte* codes = owned.bytes.data() + block_offsets(format, column).codes;
      const BlockCodes block = unpack_codes(format, codes);
      for (int64_t row = 5; row < kTileRows; ++row) {
        EXPECT_EQ(block[row], (std::array<uint8_t, kBlockColumns>{})) << name(type);
        EXPECT_EQ(scale_at(format, owned.bytes.data(), row, column).scale, 0) << name(type);
        EXPECT_EQ(scale_at(format, owned.bytes.data(), row, column).minimum, 0) << name(type);
      }
    }
  }
}

TEST(RepackF8, TileScalesMultiply) {
  // 2 x 3 tiles, the last ones cut short.
  const int64_t rows = 130;
  const int64_t columns = 300;
  Random random(10);
  const std::vector<std::byte> codes = random_blocks(StoredType::f8_e4m3, rows * columns, random);
  std::vector<float> scales(6);
  for (float& scale : scales) scale = random.uniform(-2, 2);
  std::vector<std::byte> scale_bytes(1 + scales.size() * 4);  // off any alignment
  std::memcpy(scale_bytes.data() + 1, scales.data(), scales.size() * 4);
  const OwnedWeight owned =
      repacked({StoredType::f8_e4m3, rows, columns, codes.data(), scale_bytes.data() + 1});
  ASSERT_EQ(owned.weight.format, kBf16);
  std::vector<float> found(static_cast<size_t>(columns));
  for (int64_t row = 0; row < rows; ++row) {
    dequantize_row(owned.weight, row, found.data());
    for (int64_t column = 0; column < columns; ++column) {
      const float value = f8_e4m3_to_float(
          static_cast<uint8_t>(codes[static_cast<size_t>(row * columns + column)]));
      const float scale = scales[static_cast<size_t>(row / 128 * 3 + column / 128)];
      const float expected = bf16_to_float(float_to_bf16(value * scale));
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(found[column]));
      } else {
        ASSERT_EQ(found[column], expected) << row << ", " << column;
      }
    }
  }
}

TEST(RepackDeathTest, RangesBeginAtTiles) {
  const std::vector<std::byte> bytes(18 * 32);
  std::vector<std::byte> weight(4096);
  const StoredMatrix stored = {StoredType::q4_0, 32, 32, bytes.data()};
  EXPECT_DEATH(repack_rows(stored, 8, 32, weight.data()), "rows");
  EXPECT_DEATH(repack_rows(stored, 0, 24, weight.data()), "rows");
  EXPECT_DEATH(repack_rows(stored, 0, 48, weight.data()), "rows");
}

}  // namespace
}  // namespace shoehorn
