// Random bytes of any stored type, with finite scales.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "tensor/stored_type.h"

namespace shoehorn {

inline constexpr std::array kAllStoredTypes = {
    StoredType::f32,  StoredType::f16,  StoredType::bf16,   StoredType::f8_e4m3,
    StoredType::q4_0, StoredType::q4_1, StoredType::q5_0,   StoredType::q5_1,
    StoredType::q8_0, StoredType::q2_k, StoredType::q3_k,   StoredType::q4_k,
    StoredType::q5_k, StoredType::q6_k, StoredType::iq4_nl, StoredType::iq4_xs};

// Where the halves of a block lie.
inline std::vector<int64_t> half_offsets(StoredType type) {
  switch (type) {
    case StoredType::q2_k:
      return {80, 82};
    case StoredType::q3_k:
      return {108};
    case StoredType::q6_k:
      return {208};
    case StoredType::q4_1:
    case StoredType::q5_1:
    case StoredType::q4_k:
    case StoredType::q5_k:
      return {0, 2};
    default:
      return {0};
  }
}

// Any bits at all, but for halves that are neither infinite nor NaN and plain floats that are no
// NaN (whose payload a float conversion may change).
inline std::vector<std::byte> random_blocks(StoredType type, int64_t count, Random& random) {
  const int64_t size = block_bytes(type);
  std::vector<std::byte> bytes(static_cast<size_t>(count * size));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.below(256));
  const bool plain = block_elements(type) == 1;
  for (int64_t i = 0; i < count; ++i) {
    const std::vector<int64_t> halves = plain ? std::vector<int64_t>{size - 2} : half_offsets(type);
    for (const int64_t offset : halves) {
      if (type == StoredType::f8_e4m3) continue;
      // The exponent's lowest but one bit is not set where all are: no infinity, no NaN.
      std::byte& high = bytes[static_cast<size_t>(i * size + offset + 1)];
      const auto all_set =
          static_cast<std::byte>(type == StoredType::f32 || type == StoredType::bf16 ? 0x7F : 0x7C);
      if ((high & all_set) == all_set) high &= std::byte{0xBB};
    }
  }
  return bytes;
}

}  // namespace shoehorn
