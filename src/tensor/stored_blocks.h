// The block types of GGUF as structs of bytes, for the two files that take them apart:
// stored_type.cc (their values) and repack.cc (their codes and scales).
//
// Source: ggml, https://github.com/ggml-org/ggml (src/ggml-common.h). d, m, dmin are IEEE halves;
// all members are bytes, so that a block may lie at any address.
#pragma once

#include <cstdint>
#include <cstring>

#include "tensor/stored_type.h"

namespace shoehorn {

struct BlockQ4_0 {
  static constexpr int64_t kElements = 32;
  uint8_t d[2], qs[16];
};
struct BlockQ4_1 {
  static constexpr int64_t kElements = 32;
  uint8_t d[2], m[2], qs[16];
};
struct BlockQ5_0 {
  static constexpr int64_t kElements = 32;
  uint8_t d[2], qh[4], qs[16];
};
struct BlockQ5_1 {
  static constexpr int64_t kElements = 32;
  uint8_t d[2], m[2], qh[4], qs[16];
};
struct BlockQ8_0 {
  static constexpr int64_t kElements = 32;
  uint8_t d[2], qs[32];  // qs: int8
};
struct BlockQ2_K {
  static constexpr int64_t kElements = 256;
  uint8_t scales[16], qs[64], d[2], dmin[2];
};
struct BlockQ3_K {
  static constexpr int64_t kElements = 256;
  uint8_t hmask[32], qs[64], scales[12], d[2];
};
struct BlockQ4_K {
  static constexpr int64_t kElements = 256;
  uint8_t d[2], dmin[2], scales[12], qs[128];
};
struct BlockQ5_K {
  static constexpr int64_t kElements = 256;
  uint8_t d[2], dmin[2], scales[12], qh[32], qs[128];
};
struct BlockQ6_K {
  static constexpr int64_t kElements = 256;
  uint8_t ql[128], qh[64], scales[16], d[2];  // scales: int8
};
struct BlockIQ4_NL {
  static constexpr int64_t kElements = 32;
  uint8_t d[2], qs[16];
};
struct BlockIQ4_XS {
  static constexpr int64_t kElements = 256;
  uint8_t d[2], scales_h[2], scales_l[4], qs[128];
};

inline uint16_t read_u16(const uint8_t* bytes) {
  uint16_t value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}
inline uint32_t read_u32(const uint8_t* bytes) {
  uint32_t value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

// Scale and minimum, 0..63, of sub-block b = 0..7 of a Q4_K or Q5_K block.
struct ScaleAndMinimum6 {
  uint8_t scale;
  uint8_t minimum;
};
inline ScaleAndMinimum6 k_scale_and_minimum(const uint8_t* scales, int b) {
  if (b < 4) {
    return {static_cast<uint8_t>(scales[b] & 63), static_cast<uint8_t>(scales[b + 4] & 63)};
  }
  return {static_cast<uint8_t>((scales[b + 4] & 15) | (scales[b - 4] >> 6) << 4),
          static_cast<uint8_t>((scales[b + 4] >> 4) | (scales[b] >> 6) << 4)};
}

// Scale, -32..31, of group g = 0..15 of a Q3_K block.
inline int q3_k_scale(const BlockQ3_K& block, int g) {
  const int low = g < 8 ? block.scales[g] & 15 : block.scales[g - 8] >> 4;
  const int high = block.scales[8 + g % 4] >> (2 * (g / 4)) & 3;
  return (low | high << 4) - 32;
}

// Scale, -32..31, of sub-block b = 0..7 of an IQ4_XS block.
inline int iq4_xs_scale(const BlockIQ4_XS& block, int b) {
  const int low = block.scales_l[b / 2] >> (4 * (b % 2)) & 15;
  const int high = read_u16(block.scales_h) >> (2 * b) & 3;
  return (low | high << 4) - 32;
}

// Calls visitor.operator()<Block>() with the struct of a block type; `otherwise` for plain types.
template <typename Visitor, typename Value>
Value visit_block(StoredType type, const Visitor& visitor, Value otherwise) {
  switch (type) {
    case StoredType::f32:
    case StoredType::f16:
    case StoredType::bf16:
    case StoredType::f8_e4m3:
      return otherwise;
    case StoredType::q4_0:
      return visitor.template operator()<BlockQ4_0>();
    case StoredType::q4_1:
      return visitor.template operator()<BlockQ4_1>();
    case StoredType::q5_0:
      return visitor.template operator()<BlockQ5_0>();
    case StoredType::q5_1:
      return visitor.template operator()<BlockQ5_1>();
    case StoredType::q8_0:
      return visitor.template operator()<BlockQ8_0>();
    case StoredType::q2_k:
      return visitor.template operator()<BlockQ2_K>();
    case StoredType::q3_k:
      return visitor.template operator()<BlockQ3_K>();
    case StoredType::q4_k:
      return visitor.template operator()<BlockQ4_K>();
    case StoredType::q5_k:
      return visitor.template operator()<BlockQ5_K>();
    case StoredType::q6_k:
      return visitor.template operator()<BlockQ6_K>();
    case StoredType::iq4_nl:
      return visitor.template operator()<BlockIQ4_NL>();
    case StoredType::iq4_xs:
      return visitor.template operator()<BlockIQ4_XS>();
  }
  return otherwise;
}

}  // namespace shoehorn
