#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace shoehorn {
namespace {

TEST(F16, EveryHalfSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = f16_to_float(static_cast<uint16_t>(bits));
    const uint16_t back = float_to_f16(value);
    if (std::isnan(value)) {
      EXPECT_EQ(bits & 0x7C00, 0x7C00u);
      EXPECT_EQ(back & 0x7E00, 0x7E00) << bits;
    } else {
      ASSERT_EQ(back, bits);
    }
  }
}

TEST(F16, ValuesFollowTheDefinition) {
  for (uint32_t bits = 0; bits < 0x7C00; ++bits) {
    const int exponent = static_cast<int>(bits >> 10);
    const double mantissa = bits & 1023;
    const double expected =
        exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    ASSERT_EQ(f16_to_float(static_cast<uint16_t>(bits)), expected) << bits;
    ASSERT_EQ(f16_to_float(static_cast<uint16_t>(bits | 0x8000)), -expected) << bits;
  }
  EXPECT_EQ(f16_to_float(0x7C00), std::numeric_limits<float>::infinity());
  EXPECT_EQ(f16_to_float(0xFC00), -std::numeric_limits<float>::infinity());
}

// Halfway between neighbours rounds to the even one; a hair beside it to the nearer.
TEST(F16, RoundsToNearestEven) {
  for (uint32_t bits = 0; bits < 0x7BFF; ++bits) {
    const float low = f16_to_float(static_cast<uint16_t>(bits));
    const float high = f16_to_float(static_cast<uint16_t>(bits + 1));
    const float middle = low + (high - low) / 2;  // exact in float
    const uint32_t even = bits + (bits & 1);
    ASSERT_EQ(float_to_f16(middle), even) << bits;
    ASSERT_EQ(float_to_f16(std::nextafter(middle, 0.0f)), bits);
    ASSERT_EQ(float_to_f16(std::nextafter(middle, high)), bits + 1);
    ASSERT_EQ(float_to_f16(-middle), even | 0x8000) << bits;
  }
}

TEST(F16, LargeValuesBecomeInfinity) {
  EXPECT_EQ(float_to_f16(65504.0f), 0x7BFF);
  EXPECT_EQ(float_to_f16(std::nextafter(65520.0f, 0.0f)), 0x7BFF);
  EXPECT_EQ(float_to_f16(65520.0f), 0x7C00);
  EXPECT_EQ(float_to_f16(std::numeric_limits<float>::max()), 0x7C00);
  EXPECT_EQ(float_to_f16(-1e30f), 0xFC00);
  EXPECT_EQ(float_to_f16(std::numeric_limits<float>::infinity()), 0x7C00);
  EXPECT_EQ(float_to_f16(std::numeric_limits<float>::denorm_min()), 0);
}

TEST(Bf16, RoundsToNearestEven) {
  for (uint32_t bits = 0; bits < 0x7F7F; ++bits) {
    const float low = bf16_to_float(static_cast<uint16_t>(bits));
    const float high = bf16_to_float(static_cast<uint16_t>(bits + 1));
    ASSERT_EQ(float_to_bf16(low), bits);
    const float middle = std::bit_cast<float>((bits << 16) + 0x8000);
    ASSERT_EQ(float_to_bf16(middle), bits + (bits & 1)) << bits;
    ASSERT_EQ(float_to_bf16(std::nextafter(middle, low)), bits);
    ASSERT_EQ(float_to_bf16(std::nextafter(middle, high)), bits + 1);
    ASSERT_EQ(float_to_bf16(-high), (bits + 1) | 0x8000);
  }
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7F80);
  const uint16_t nan = float_to_bf16(std::bit_cast<float>(0x7F800001u));
  EXPECT_TRUE(std::isnan(bf16_to_float(nan)));
}

TEST(F8E4M3, ValuesFollowTheDefinition) {
  for (int bits = 0; bits < 0x7F; ++bits) {
    const int exponent = bits >> 3;
    const double mantissa = bits & 7;
    const double expected =
        exponent == 0 ? std::ldexp(mantissa / 8, -6) : std::ldexp(1 + mantissa / 8, exponent - 7);
    ASSERT_EQ(f8_e4m3_to_float(static_cast<uint8_t>(bits)), expected) << bits;
    ASSERT_EQ(f8_e4m3_to_float(static_cast<uint8_t>(bits | 0x80)), -expected) << bits;
  }
  EXPECT_EQ(f8_e4m3_to_float(0x7E), 448.0f);
  EXPECT_TRUE(std::isnan(f8_e4m3_to_float(0x7F)));
  EXPECT_TRUE(std::isnan(f8_e4m3_to_float(0xFF)));
}

TEST(DType, Sizes) {
  EXPECT_EQ(size_bytes(DType::f32), 4);
  EXPECT_EQ(size_bytes(DType::f16), 2);
  EXPECT_EQ(size_bytes(DType::bf16), 2);
  EXPECT_EQ(size_bytes(DType::i8), 1);
  EXPECT_EQ(size_bytes(DType::i32), 4);
  EXPECT_STREQ(name(DType::bf16), "bf16");
}

}  // namespace
}  // namespace shoehorn
