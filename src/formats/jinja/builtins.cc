#include "formats/jinja/builtins.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

#include "formats/jinja/text.h"

namespace shoehorn::jinja {

const BuiltinEntry* find_filter(std::string_view name) {
  for (const std::span<const BuiltinEntry> table :
       {text_filters(), number_filters(), sequence_filters(), item_filters()}) {
    const BuiltinEntry* found = find_entry(table, name);
    if (found != nullptr) return found;
  }
  return nullptr;
}

Result<Value> as_text(Interpreter& interpreter, const Value& value) {
  if (value.kind == Kind::text) return value;
  const std::string text = TRY(interpreter.to_string(value));
  return interpreter.text(text);
}

Result<Value> text_like(Interpreter& interpreter, const Value& model, std::string_view text) {
  Value result = TRY(interpreter.text(text));
  result.markup = model.markup;
  return result;
}

Result<int64_t> length_of(Interpreter& interpreter, const Value& value) {
  switch (value.kind) {
    case Kind::undefined:
      return 0;
    case Kind::text:
      return characters_of(interpreter.runtime(), *value.text);
    case Kind::dict:
      return static_cast<int64_t>(value.dict->size);
    case Kind::loop:
      return interpreter.length(*value.loop);
    case Kind::sequence:
      if (value.sequence->type == SequenceType::iterator) break;
      return static_cast<int64_t>(value.sequence->items.size());
    default:
      break;
  }
  return fail("object of type '{}' has no len()", type_name(value));
}

Result<std::optional<int64_t>> parse_integer(std::string_view text, int64_t base) {
  const std::optional<int64_t> nothing;
  if (base != 0 && (base < 2 || base > 36)) return nothing;
  std::string digits(strip_space(text));
  const bool negative = !digits.empty() && digits[0] == '-';
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.erase(0, 1);
  if (digits.size() > 2 && digits[0] == '0') {
    const char prefix = static_cast<char>(digits[1] | 0x20);
    const int64_t stated = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 0;
    if (stated != 0 && (base == stated || base == 0)) {
      digits.erase(0, 2);
      base = stated;
      if (digits[0] == '_') digits.erase(0, 1);
    }
  }
  if (base == 0) base = 10;
  const bool misplaced = digits.empty() || digits.front() == '_' || digits.back() == '_' ||
                         digits.front() == '-' || digits.find("__") != std::string::npos;
  if (misplaced) return nothing;
  digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
  if (negative) digits.insert(0, 1, '-');
  int64_t value = 0;
  const char* end = digits.data() + digits.size();
  const std::from_chars_result read =
      std::from_chars(digits.data(), end, value, static_cast<int>(base));
  if (read.ec == std::errc::result_out_of_range) {
    return fail("expected an integer below 2^63, found {}", text.substr(0, 64));
  }
  if (read.ec != std::errc() || read.ptr != end) return nothing;
  return std::optional<int64_t>(value);
}

std::optional<double> parse_real(std::string_view text) {
  std::string digits = change_case(strip_space(text), Case::lower);
  const bool negative = !digits.empty() && digits[0] == '-';
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.erase(0, 1);
  double value = 0;
  if (digits == "inf" || digits == "infinity") {
    value = std::numeric_limits<double>::infinity();
  } else if (digits == "nan") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    for (size_t i = 0; i < digits.size(); ++i) {
      const auto digit = [&](size_t at) { return at < digits.size() && std::isdigit(digits[at]); };
      if (digits[i] == '_' && (i == 0 || !digit(i - 1) || !digit(i + 1))) return std::nullopt;
    }
    digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
    if (digits.empty() || (!std::isdigit(digits[0]) && digits[0] != '.')) return std::nullopt;
    const char* end = digits.data() + digits.size();
    const std::from_chars_result read = std::from_chars(digits.data(), end, value);
    if (read.ptr != end) return std::nullopt;
    if (read.ec == std::errc::result_out_of_range) {
      value = digits.find("e-") == std::string::npos ? std::numeric_limits<double>::infinity() : 0;
    } else if (read.ec != std::errc()) {
      return std::nullopt;
    }
  }
  return negative ? -value : value;
}

Result<Value> ignore_case(Interpreter& interpreter, const Value& value) {
  if (value.kind != Kind::text) return value;
  return interpreter.text(change_case(value.view(), Case::lower));
}

Result<Value> follow_path(Interpreter& interpreter, const Value& item, const Value& path,
                          const Value& fallback) {
  TRY(interpreter.runtime().charge());
  if (!path.present() || path.kind == Kind::none) return item;
  Value value = item;
  const bool has_fallback = fallback.present() && fallback.kind != Kind::none;
  if (path.kind != Kind::text) {
    value = TRY(interpreter.item(value, path));
    return value.kind == Kind::undefined && has_fallback ? fallback : value;
  }
  std::string_view rest = path.view();
  while (true) {
    const size_t dot = rest.find('.');
    const std::string_view part = rest.substr(0, dot);
    Value key = borrowed_text(interpreter.arena(), part);
    const bool number = !part.empty() && std::all_of(part.begin(), part.end(),
                                                     [](char c) { return c >= '0' && c <= '9'; });
    if (number) {
      const std::optional<int64_t> index = TRY(parse_integer(part, 10));
      key = integer(index.value_or(0));
    }
    value = TRY(interpreter.item(value, key));
    if (value.kind == Kind::undefined && has_fallback) value = fallback;
    if (dot == std::string_view::npos) return value;
    rest.remove_prefix(dot + 1);
  }
}

// A merge sort of our own, as comparisons can fail.
Result<std::vector<size_t>> sorted_order(Interpreter& interpreter, std::span<const Value> keys,
                                         bool reverse) {
  const size_t count = keys.size();
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  std::vector<size_t> merged(count);
  const auto comes_first = [&](size_t later, size_t earlier) -> Result<bool> {
    const Value& a = reverse ? keys[earlier] : keys[later];
    const Value& b = reverse ? keys[later] : keys[earlier];
    return TRY(shoehorn::jinja::order(interpreter.runtime(), a, b, "<"))
    < 0;
  };
  for (size_t width = 1; width < count; width *= 2) {
    for (size_t begin = 0; begin < count; begin += 2 * width) {
      const size_t middle = std::min(begin + width, count);
      const size_t end = std::min(begin + 2 * width, count);
      size_t left = begin;
      size_t right = middle;
      for (size_t out = begin; out < end; ++out) {
        bool take_right = left == middle;
        if (!take_right && right < end) take_right = TRY(comes_first(order[right], order[left]));
        merged[out] = take_right ? order[right++] : order[left++];
      }
    }
    order.swap(merged);
  }
  return order;
}

}  // namespace shoehorn::jinja
