#include "formats/jinja/format_spec.h"

#include <cmath>
#include <cstdio>

#include "formats/jinja/print.h"
#include "formats/jinja/text.h"

namespace shoehorn::jinja {
namespace {

std::string group_thousands(std::string digits, char separator) {
  size_t end = digits.find_first_not_of("0123456789");
  if (end == std::string::npos) end = digits.size();
  for (size_t at = end; at > 3;) {
    at -= 3;
    digits.insert(at, 1, separator);
  }
  return digits;
}

std::string integer_digits(uint64_t value, char type) {
  switch (type) {
    case 'x':
      return fmt::format("{:x}", value);
    case 'X':
      return fmt::format("{:X}", value);
    case 'o':
      return fmt::format("{:o}", value);
    case 'b':
      return fmt::format("{:b}", value);
    default:
      return fmt::format("{}", value);
  }
}

// e, f, g and their capitals, without sign.
std::string real_digits(double value, const Spec& spec) {
  const std::string pattern = std::string(spec.alternate ? "%#.*" : "%.*") + spec.type;
  char buffer[512];  // enough for the 309 digits of the largest double and kMaximumPrecision
  const int precision = static_cast<int>(spec.precision < 0 ? 6 : spec.precision);
  std::snprintf(buffer, sizeof buffer, pattern.c_str(), precision, value);
  return buffer;
}

std::string with_sign(bool negative, const Spec& spec, const std::string& digits) {
  if (negative) return '-' + digits;
  return spec.sign == '+' || spec.sign == ' ' ? spec.sign + digits : digits;
}

}  // namespace

Result<int64_t> read_number(std::string_view text, size_t& at, int64_t limit) {
  int64_t value = 0;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    value = value * 10 + (text[at++] - '0');
    if (value > limit) return fail("expected a width or precision of at most {}", limit);
  }
  return value;
}

std::string pad(const std::string& body, const Spec& spec, char default_align) {
  const int64_t missing = spec.width - count_characters(body);
  if (missing <= 0) return body;
  const char align = spec.align != '\0' ? spec.align : default_align;
  const int64_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string out;
  if (align == '=') {
    const size_t sign = !body.empty() && (body[0] == '-' || body[0] == '+' || body[0] == ' ');
    out = body.substr(0, sign);
    for (int64_t i = 0; i < missing; ++i) out += spec.fill;
    return out + body.substr(sign);
  }
  for (int64_t i = 0; i < left; ++i) out += spec.fill;
  out += body;
  for (int64_t i = left; i < missing; ++i) out += spec.fill;
  return out;
}

std::string format_integer(int64_t value, const Spec& spec) {
  const uint64_t magnitude =
      value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string digits = integer_digits(magnitude, spec.type);
  if (spec.grouping != '\0') digits = group_thousands(digits, spec.grouping);
  if (spec.alternate &&
      (spec.type == 'x' || spec.type == 'X' || spec.type == 'o' || spec.type == 'b')) {
    digits = std::string("0") + spec.type + digits;
  }
  return with_sign(value < 0, spec, digits);
}

std::string format_real_spec(double value, Spec spec) {
  std::string suffix;
  if (spec.type == '%') {
    value *= 100;
    spec.type = 'f';
    suffix = "%";
  }
  const double magnitude = std::fabs(value);
  std::string digits;
  if (spec.type == '\0' && spec.precision < 0) {
    digits = format_real(magnitude);
  } else {
    const bool plain = spec.type == '\0';
    if (plain) spec.type = 'g';
    digits = std::isfinite(magnitude) ? real_digits(magnitude, spec) : format_real(magnitude);
    if (plain && digits.find_first_of(".en") == std::string::npos) digits += ".0";
  }
  if (spec.grouping != '\0') digits = group_thousands(digits, spec.grouping);
  return with_sign(std::signbit(value), spec, digits + suffix);
}

}  // namespace shoehorn::jinja
