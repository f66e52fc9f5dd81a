// One field of a format string: how a number or a text is padded, signed and grouped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace shoehorn::jinja {

inline constexpr int64_t kMaximumPrecision = 100;

// [[fill]align][sign][#][0][width][,][.precision][type]
struct Spec {
  std::string fill = " ";
  char align = '\0';
  char sign = '-';
  bool alternate = false;
  bool zero = false;
  char grouping = '\0';
  int64_t width = 0;
  int64_t precision = -1;
  char type = '\0';
};

// Digits at `at`, which moves past them; 0 where there are none.
Result<int64_t> read_number(std::string_view text, size_t& at, int64_t limit);

// To spec.width characters; default_align: '<' text, '>' numbers.
std::string pad(const std::string& body, const Spec& spec, char default_align);

std::string format_integer(int64_t value, const Spec& spec);
std::string format_real_spec(double value, Spec spec);

}  // namespace shoehorn::jinja
