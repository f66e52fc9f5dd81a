#include "tensor/stored_type.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cctype>
#include <cstring>
#include <string>
#include <vector>

#include "base/file.h"
#include "tests/tensor/random_blocks.h"

namespace shoehorn {
namespace {

TEST(StoredType, SizesAreThoseOfTheFormats) {
  struct Case {
    StoredType type;
    const char* name;
    int64_t elements, bytes;
  };
  const Case cases[] = {
      {StoredType::f32, "F32", 1, 4},         {StoredType::f16, "F16", 1, 2},
      {StoredType::bf16, "BF16", 1, 2},       {StoredType::f8_e4m3, "F8_E4M3", 1, 1},
      {StoredType::q4_0, "Q4_0", 32, 18},     {StoredType::q4_1, "Q4_1", 32, 20},
      {StoredType::q5_0, "Q5_0", 32, 22},     {StoredType::q5_1, "Q5_1", 32, 24},
      {StoredType::q8_0, "Q8_0", 32, 34},     {StoredType::q2_k, "Q2_K", 256, 84},
      {StoredType::q3_k, "Q3_K", 256, 110},   {StoredType::q4_k, "Q4_K", 256, 144},
      {StoredType::q5_k, "Q5_K", 256, 176},   {StoredType::q6_k, "Q6_K", 256, 210},
      {StoredType::iq4_nl, "IQ4_NL", 32, 18}, {StoredType::iq4_xs, "IQ4_XS", 256, 136},
  };
  for (const Case& c : cases) {
    EXPECT_STREQ(name(c.type), c.name);
    EXPECT_EQ(block_elements(c.type), c.elements) << c.name;
    EXPECT_EQ(block_bytes(c.type), c.bytes) << c.name;
    EXPECT_EQ(stored_bytes(c.type, 3, 2 * c.elements), 6 * c.bytes) << c.name;
  }
}

// tests/golden/blocks: random blocks and their values by another implementation, bit for bit.
TEST(StoredType, ValuesAreThoseOfTheReference) {
  for (const StoredType type : kAllStoredTypes) {
    if (block_elements(type) == 1) continue;
    std::string file = name(type);
    std::transform(file.begin(), file.end(), file.begin(), ::tolower);
    const Result<std::string> golden =
        read_text_file(std::string(SOURCE_ROOT "/tests/golden/blocks/") + file + ".bin");
    ASSERT_TRUE(golden.ok()) << golden.error().message;
    constexpr int64_t kValues = 512;
    const auto blocks_bytes = static_cast<size_t>(stored_bytes(type, 1, kValues));
    ASSERT_EQ(golden->size(), blocks_bytes + kValues * sizeof(float)) << file;
    std::vector<float> expected(kValues);
    std::memcpy(expected.data(), golden->data() + blocks_bytes, kValues * sizeof(float));
    std::vector<float> found(kValues);
    dequantize_stored_row(type, reinterpret_cast<const std::byte*>(golden->data()), kValues,
                          found.data());
    for (int64_t i = 0; i < kValues; ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(found[i]), std::bit_cast<uint32_t>(expected[i]))
          << file << " value " << i << ": " << found[i] << " and not " << expected[i];
    }
  }
}

TEST(StoredType, PlainTypesConvertExactly) {
  const uint16_t halves[] = {0x3C00, 0xC000, 0x0001, 0x7BFF};
  float values[4];
  dequantize_stored_row(StoredType::f16, reinterpret_cast<const std::byte*>(halves), 4, values);
  EXPECT_EQ(values[0], 1.0f);
  EXPECT_EQ(values[1], -2.0f);
  EXPECT_EQ(values[2], 0x1p-24f);
  EXPECT_EQ(values[3], 65504.0f);

  const uint16_t bf16[] = {0x3F80, 0xC000, 0x0080, 0x4049};
  dequantize_stored_row(StoredType::bf16, reinterpret_cast<const std::byte*>(bf16), 4, values);
  EXPECT_EQ(values[0], 1.0f);
  EXPECT_EQ(values[1], -2.0f);
  EXPECT_EQ(values[2], 0x1p-126f);
  EXPECT_EQ(values[3], 3.140625f);

  const uint8_t f8[] = {0x38, 0xFE, 0x01, 0x08};
  dequantize_stored_row(StoredType::f8_e4m3, reinterpret_cast<const std::byte*>(f8), 4, values);
  EXPECT_EQ(values[0], 1.0f);
  EXPECT_EQ(values[1], -448.0f);
  EXPECT_EQ(values[2], 0x1p-9f);
  EXPECT_EQ(values[3], 0x1p-6f);
}

TEST(StoredTypeDeathTest, RowsAreWholeBlocks) {
  float values[64];
  const std::byte row[256] = {};
  EXPECT_DEATH(dequantize_stored_row(StoredType::q4_0, row, 48, values), "48 columns of Q4_0");
}

}  // namespace
}  // namespace shoehorn
