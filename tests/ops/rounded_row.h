// The rounding of ops/linear.h's contract in double, for the references of every body.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace shoehorn {

// x rounded as the contract says: xq * sx, sx = max|x| / 127 by blocks of 32 columns, 0 if that is
// below 2^-126.
inline std::vector<double> rounded_row(const float* x, int64_t columns) {
  std::vector<double> row(static_cast<size_t>(columns));
  for (int64_t begin = 0; begin < columns; begin += 32) {
    float largest = 0;
    const int64_t end = std::min(begin + 32, columns);
    for (int64_t c = begin; c < end; ++c) largest = std::max(largest, std::fabs(x[c]));
    const float scale = largest / 127.0f;
    const float inverse = scale >= 0x1p-126f ? 1.0f / scale : 0.0f;
    for (int64_t c = begin; c < end; ++c) {
      row[c] = static_cast<double>(std::nearbyint(x[c] * inverse)) * static_cast<double>(scale);
    }
  }
  return row;
}

}  // namespace shoehorn
