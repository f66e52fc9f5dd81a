// Element types of activations and caches, and the 16- and 8-bit float conversions (all exact to
// IEEE round-to-nearest-even; portable code, the vector kernels have their own).
#pragma once

#include <bit>
#include <cstdint>

namespace shoehorn {

enum class DType : uint8_t { f32, f16, bf16, i8, i32 };

const char* name(DType dtype);
int64_t size_bytes(DType dtype);

inline float bf16_to_float(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}
uint16_t float_to_bf16(float value);  // NaN stays a quiet NaN

float f16_to_float(uint16_t bits);
uint16_t float_to_f16(float value);  // beyond 65504 becomes infinity

// F8_E4M3 (OCP e4m3fn): bias 7, no infinities, 0x7F and 0xFF are NaN, largest 448.
float f8_e4m3_to_float(uint8_t bits);

}  // namespace shoehorn
