// Arithmetic, comparison and membership, with Python's rules for mixed types.
#include <algorithm>
#include <cmath>
#include <limits>

#include "formats/jinja/format.h"
#include "formats/jinja/interpreter.h"
#include "formats/jinja/text.h"

namespace shoehorn::jinja {
namespace {

const char* symbol(Operator operation) {
  constexpr const char* kSymbols[] = {
      "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};
  return kSymbols[static_cast<size_t>(operation)];
}

Error unsupported(Operator operation, const Value& left, const Value& right) {
  return fail("unsupported operand type(s) for {}: '{}' and '{}'", symbol(operation),
              type_name(left), type_name(right));
}

Error overflow(Operator operation, int64_t left, int64_t right) {
  return fail("expected integers below 2^63, found {} {} {}", left, symbol(operation), right);
}

Result<Value> power_of_integers(int64_t base, int64_t exponent) {
  int64_t result = 1;
  int64_t factor = base;
  for (int64_t left = exponent; left > 0; left >>= 1) {
    if ((left & 1) != 0 && __builtin_mul_overflow(result, factor, &result)) {
      return overflow(Operator::power, base, exponent);
    }
    if (left > 1 && __builtin_mul_overflow(factor, factor, &factor)) {
      return overflow(Operator::power, base, exponent);
    }
  }
  return integer(result);
}

Result<Value> integers(Operator operation, int64_t left, int64_t right) {
  int64_t result = 0;
  bool overflows = false;
  const bool division = operation == Operator::divide || operation == Operator::floor_divide ||
                        operation == Operator::modulo;
  if (division && right == 0) return fail("division by zero");
  switch (operation) {
    case Operator::add:
      overflows = __builtin_add_overflow(left, right, &result);
      break;
    case Operator::subtract:
      overflows = __builtin_sub_overflow(left, right, &result);
      break;
    case Operator::multiply:
      overflows = __builtin_mul_overflow(left, right, &result);
      break;
    case Operator::divide:
      return real(static_cast<double>(static_cast<long double>(left) / right));
    case Operator::floor_divide:
      overflows = left == std::numeric_limits<int64_t>::min() && right == -1;
      if (!overflows) result = left / right - (left % right != 0 && (left < 0) != (right < 0));
      break;
    case Operator::modulo:
      if (right == -1) return integer(0);
      result = left % right;
      if (result != 0 && (result < 0) != (right < 0)) result += right;
      break;
    default:
      return power_of_integers(left, right);
  }
  if (overflows) return overflow(operation, left, right);
  return integer(result);
}

Result<Value> power_of_reals(double left, double right) {
  if (left == 0 && right < 0) return fail("0.0 cannot be raised to a negative power");
  if (left < 0 && std::isfinite(left) && std::isfinite(right) && right != std::floor(right)) {
    return fail("a negative number to a fractional power is not supported");
  }
  const double result = std::pow(left, right);
  if (std::isinf(result) && std::isfinite(left) && std::isfinite(right)) {
    return fail("numerical result out of range in {} ** {}", left, right);
  }
  return real(result);
}

// Python's float.__divmod__: the remainder has the divisor's sign.
Result<Value> reals(Operator operation, double left, double right) {
  switch (operation) {
    case Operator::add:
      return real(left + right);
    case Operator::subtract:
      return real(left - right);
    case Operator::multiply:
      return real(left * right);
    case Operator::power:
      return power_of_reals(left, right);
    default:
      break;
  }
  if (right == 0) return fail("float division by zero");
  if (operation == Operator::divide) return real(left / right);
  double remainder = std::fmod(left, right);
  double quotient = (left - remainder) / right;
  if (remainder != 0 && (right < 0) != (remainder < 0)) {
    remainder += right;
    quotient -= 1;
  } else if (remainder == 0) {
    remainder = std::copysign(0.0, right);
  }
  if (operation == Operator::modulo) return real(remainder);
  if (quotient == 0) return real(std::copysign(0.0, left / right));
  double floored = std::floor(quotient);
  if (quotient - floored > 0.5) floored += 1;
  return real(floored);
}

Result<Value> join_text(Interpreter& interpreter, const Value& left, const Value& right) {
  if (left.markup != right.markup) {
    const Value& plain = left.markup ? right : left;
    Value escaped = TRY(interpreter.text(escape_html(plain.view())));
    escaped.markup = true;
    return left.markup ? join_text(interpreter, left, escaped)
                       : join_text(interpreter, escaped, right);
  }
  const size_t size = left.text->size + right.text->size;
  if (size > kMaximumTextBytes) {
    return fail("expected text of at most {} MiB, the template makes {} bytes",
                kMaximumTextBytes >> 20, size);
  }
  TRY(interpreter.runtime().charge_bytes(right.text->size));
  Value result = concatenated_text(interpreter.arena(), *left.text, right.view());
  result.markup = left.markup;
  return result;
}

Result<Value> repeat(Interpreter& interpreter, const Value& value, int64_t times) {
  times = std::max<int64_t>(times, 0);
  if (value.kind == Kind::text) {
    const size_t size = value.text->size;
    if (size > 0 && static_cast<size_t>(times) > kMaximumTextBytes / size) {
      return fail("expected text of at most {} MiB, found {} characters times {}",
                  kMaximumTextBytes >> 20, size, times);
    }
    std::string out;
    out.reserve(size * static_cast<size_t>(times));
    for (int64_t i = 0; size > 0 && i < times; ++i) out += value.view();
    Value result = TRY(interpreter.text(out));
    result.markup = value.markup;
    return result;
  }
  const std::span<const Value> items = value.sequence->items;
  if (!items.empty() && static_cast<size_t>(times) > kMaximumItems / items.size()) {
    return fail("expected a list of at most {} items, found {} times {}", kMaximumItems,
                items.size(), times);
  }
  std::vector<Value> out;
  for (int64_t i = 0; !items.empty() && i < times; ++i) {
    out.insert(out.end(), items.begin(), items.end());
  }
  return interpreter.list(out, value.sequence->type);
}

bool is_list_or_tuple(const Value& value) {
  return value.kind == Kind::sequence && value.sequence->type <= SequenceType::tuple;
}

Result<Value> add(Interpreter& interpreter, const Value& left, const Value& right) {
  if (left.kind == Kind::text && right.kind == Kind::text) {
    return join_text(interpreter, left, right);
  }
  if (is_list_or_tuple(left) && is_list_or_tuple(right) &&
      left.sequence->type == right.sequence->type) {
    const std::span<const Value> a = left.sequence->items;
    const std::span<const Value> b = right.sequence->items;
    std::vector<Value> out(a.begin(), a.end());
    out.insert(out.end(), b.begin(), b.end());
    return interpreter.list(out, left.sequence->type);
  }
  if (left.kind == Kind::text) {
    return fail("can only concatenate str (not \"{}\") to str", type_name(right));
  }
  if (is_list_or_tuple(left)) {
    return fail("can only concatenate {} (not \"{}\") to {}", type_name(left), type_name(right),
                type_name(left));
  }
  return unsupported(Operator::add, left, right);
}

// What is put into text marked safe is escaped first.
Result<Value> escaped_values(Interpreter& interpreter, const Value& values) {
  if (values.kind == Kind::text && !values.markup) {
    return interpreter.text(escape_html(values.view()));
  }
  if (values.kind != Kind::sequence || values.sequence->type != SequenceType::tuple) return values;
  std::vector<Value> out;
  for (const Value& item : values.sequence->items) {
    const bool plain = item.kind == Kind::text && !item.markup;
    out.push_back(plain ? TRY(interpreter.text(escape_html(item.view()))) : item);
  }
  return interpreter.list(out, SequenceType::tuple);
}

}  // namespace

Result<Value> Interpreter::binary(Operator operation, const Value& left, const Value& right) {
  const bool formats = operation == Operator::modulo && left.kind == Kind::text;
  if (left.kind == Kind::undefined) return use_of_undefined(left);
  if (right.kind == Kind::undefined && !formats) return use_of_undefined(right);
  if (left.is_number() && right.is_number()) {
    const bool whole = left.is_whole() && right.is_whole();
    const bool fractional = operation == Operator::power && whole && right.as_integer() < 0;
    if (whole && !fractional) return integers(operation, left.as_integer(), right.as_integer());
    return reals(operation, left.as_real(), right.as_real());
  }
  if (operation == Operator::add) return add(*this, left, right);
  if (operation == Operator::multiply) {
    const bool repeats_left = left.kind == Kind::text || is_list_or_tuple(left);
    const bool repeats_right = right.kind == Kind::text || is_list_or_tuple(right);
    if (repeats_left && right.is_whole()) return repeat(*this, left, right.as_integer());
    if (repeats_right && left.is_whole()) return repeat(*this, right, left.as_integer());
  }
  if (formats) {
    const Value values = left.markup ? TRY(escaped_values(*this, right)) : right;
    const std::string out = TRY(format_percent(*this, left.view(), values));
    Value result = TRY(text(out));
    result.markup = left.markup;
    return result;
  }
  return unsupported(operation, left, right);
}

Result<bool> Interpreter::contains(const Value& container, const Value& value) {
  switch (container.kind) {
    case Kind::text:
      if (value.kind == Kind::undefined) return use_of_undefined(value);
      if (value.kind != Kind::text) {
        return fail("'in <string>' requires string as left operand, not {}", type_name(value));
      }
      TRY(runtime_.charge_bytes(container.text->size));
      return find_part(container.view(), value.view()) != std::string_view::npos;
    case Kind::dict: {
      const Value* found = TRY(find(runtime_, *container.dict, value));
      return found != nullptr;
    }
    case Kind::undefined:
      return false;
    case Kind::sequence: {
      const std::span<const Value> items = TRY(iterate(container));
      for (const Value& item : items) {
        if (TRY(equal(runtime_, item, value))) return true;
      }
      return false;
    }
    default:
      return fail("argument of type '{}' is not iterable", type_name(container));
  }
}

Result<bool> Interpreter::compare(Operator operation, const Value& left, const Value& right) {
  switch (operation) {
    case Operator::equal:
      return equal(runtime_, left, right);
    case Operator::not_equal:
      return !TRY(equal(runtime_, left, right));
    case Operator::in:
      return contains(right, left);
    case Operator::not_in:
      return !TRY(contains(right, left));
    default:
      break;
  }
  const int result = TRY(order(runtime_, left, right, symbol(operation)));
  const auto is_nan = [](const Value& v) { return v.kind == Kind::real && std::isnan(v.real); };
  if (is_nan(left) || is_nan(right)) return false;
  switch (operation) {
    case Operator::less:
      return result < 0;
    case Operator::less_equal:
      return result <= 0;
    case Operator::greater:
      return result > 0;
    default:
      return result >= 0;
  }
}

}  // namespace shoehorn::jinja
