// Sizes as people write them: "16GiB", "800 MB", "1.5g"; and back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace shoehorn {

// KiB, MiB, GiB, TiB (also K, M, G, T, any case) are powers of 1024; KB, MB, GB, TB of 1000; a bare
// number is bytes. Errors: no number, unknown unit, negative, or more than 2^63 bytes.
Result<uint64_t> parse_bytes(std::string_view text);

// The least multiple of `step` that is not below `value`.
inline uint64_t round_up(uint64_t value, uint64_t step) {
  return (value + step - 1) / step * step;
}

// "84.3 MiB": three significant digits, binary units.
std::string format_bytes(uint64_t bytes);

}  // namespace shoehorn
