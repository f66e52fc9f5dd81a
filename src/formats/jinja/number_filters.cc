// Filters of numbers and single values.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "formats/jinja/builtins.h"

namespace shoehorn::jinja {
namespace {

Result<Value> absolute(Interpreter& interpreter, const Arguments& arguments) {
  const auto [x] = TRY(bind("abs", {"x"}, 1, arguments));
  if (x.kind == Kind::real) return real(std::fabs(x.real));
  if (x.kind == Kind::undefined) return use_of_undefined(x);
  if (!x.is_whole()) return fail("bad operand type for abs(): '{}'", type_name(x));
  if (x.as_integer() >= 0) return integer(x.as_integer());
  return interpreter.binary(Operator::subtract, integer(0), x);
}

Result<Value> to_integer(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value, fallback, base] = TRY(bind("int", {"value", "default", "base"}, 1, arguments));
  const Value otherwise = fallback.present() ? fallback : integer(0);
  if (value.is_whole()) return integer(value.as_integer());
  if (value.kind == Kind::undefined) return use_of_undefined(value);
  double number = std::nan("");
  if (value.kind == Kind::real) {
    number = value.real;
    if (std::isinf(number)) return fail("cannot convert float infinity to integer");
  } else if (value.kind == Kind::text) {
    TRY(interpreter.runtime().charge_bytes(value.text->size));
    const int64_t radix = TRY(integer_or("int", "base", base, 10));
    const std::optional<int64_t> whole = TRY(parse_integer(value.view(), radix));
    if (whole.has_value()) return integer(*whole);
    number = parse_real(value.view()).value_or(number);
  }
  if (std::isnan(number) || std::isinf(number)) return otherwise;
  if (std::fabs(number) >= 0x1p63) {
    return fail("int(): expected a number below 2^63, found {}", number);
  }
  return integer(static_cast<int64_t>(number));
}

Result<Value> to_real(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value, fallback] = TRY(bind("float", {"value", "default"}, 1, arguments));
  if (value.is_number()) return real(value.as_real());
  if (value.kind == Kind::undefined) return use_of_undefined(value);
  if (value.kind == Kind::text) {
    TRY(interpreter.runtime().charge_bytes(value.text->size));
    const std::optional<double> number = parse_real(value.view());
    if (number.has_value()) return real(*number);
  }
  return fallback.present() ? fallback : real(0);
}

// Python's round(): to the nearest decimal, exact halves to even, as printf rounds.
double round_decimal(double value, int64_t precision) {
  if (!std::isfinite(value) || precision > 300) return value;
  if (precision < -300) return std::copysign(0.0, value);
  if (precision >= 0) {
    char buffer[700];
    std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(precision), value);
    return std::strtod(buffer, nullptr);
  }
  const double scale = std::pow(10.0, static_cast<double>(-precision));
  return std::nearbyint(value / scale) * scale;
}

int64_t round_integer(int64_t value, int64_t precision) {
  if (precision >= 0) return value;
  if (precision < -18) return 0;
  int64_t scale = 1;
  for (int64_t i = precision; i < 0; ++i) scale *= 10;
  const int64_t floor = value / scale - (value % scale < 0 ? 1 : 0);
  const int64_t rest = value - floor * scale;
  const bool up = rest * 2 > scale || (rest * 2 == scale && floor % 2 != 0);
  return (floor + (up ? 1 : 0)) * scale;
}

Result<Value> round(Interpreter&, const Arguments& arguments) {
  const auto [value, precision, method] =
      TRY(bind("round", {"value", "precision", "method"}, 1, arguments));
  const int64_t digits = TRY(integer_or("round", "precision", precision, 0));
  std::string_view how = "common";
  if (method.present()) how = TRY(required_text("round", "method", method));
  if (value.kind == Kind::undefined) return use_of_undefined(value);
  if (!value.is_number()) {
    return fail("type {} doesn't define __round__ method", type_name(value));
  }
  if (how == "common") {
    if (value.is_whole()) return integer(round_integer(value.as_integer(), digits));
    return real(round_decimal(value.real, digits));
  }
  if (how != "ceil" && how != "floor") return fail("method must be common, ceil or floor");
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = value.as_real() * scale;
  if (!std::isfinite(scaled)) return fail("cannot convert float infinity or nan to integer");
  return real((how == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Result<Value> default_value(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value, fallback, for_false] =
      TRY(bind("default", {"value", "default_value", "boolean"}, 1, arguments));
  const bool absent =
      value.kind == Kind::undefined || (boolean_or(for_false, false) && !truth(value));
  if (!absent) return value;
  return fallback.present() ? fallback : borrowed_text(interpreter.arena(), "");
}

constexpr BuiltinEntry kFilters[] = {{"abs", absolute},          {"d", default_value},
                                     {"default", default_value}, {"float", to_real},
                                     {"int", to_integer},        {"round", round}};
static_assert(is_sorted_table(kFilters));

}  // namespace

std::span<const BuiltinEntry> number_filters() {
  return kFilters;
}

}  // namespace shoehorn::jinja
