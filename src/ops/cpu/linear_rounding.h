// The scalar part of rounding 32 columns to int8, the same for all instruction sets. Included by
// files compiled for one, hence in an anonymous namespace.
#pragma once

#include "ops/linear.h"

namespace shoehorn {
namespace {

struct RoundingScale {
  float scale, inverse;
};

// Below 2^-126 the inverse would pass the largest float; the block rounds to zeros.
inline RoundingScale rounding_scale(float largest) {
  const float scale = largest / 127.0f;
  if (scale < 0x1p-126f) return {0.0f, 0.0f};
  return {scale, 1.0f / scale};
}

inline void store_sums(const RoundedRows& out, int64_t at, float scale, int32_t first_half,
                       int32_t second_half) {
  out.scales[at] = scale;
  out.half_sums[at * 2] = static_cast<int16_t>(first_half);
  out.half_sums[at * 2 + 1] = static_cast<int16_t>(second_half);
  out.products[at] = scale * static_cast<float>(first_half + second_half);
  out.half_products[at * 2] = scale * static_cast<float>(first_half);
  out.half_products[at * 2 + 1] = scale * static_cast<float>(second_half);
}

}  // namespace
}  // namespace shoehorn
