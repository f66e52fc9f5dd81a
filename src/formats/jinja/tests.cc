// The tests of Jinja: `x is name(...)`.
#include "formats/jinja/builtins.h"
#include "formats/jinja/text.h"

namespace shoehorn::jinja {
namespace {

template <bool (*predicate)(const Value&)>
Result<Value> test_kind(Interpreter&, const Arguments& arguments) {
  const auto [value] = TRY(bind("test", {"value"}, 1, arguments));
  return boolean(predicate(value));
}

bool is_defined(const Value& value) {
  return value.kind != Kind::undefined;
}
bool is_undefined(const Value& value) {
  return value.kind == Kind::undefined;
}
bool is_none(const Value& value) {
  return value.kind == Kind::none;
}
bool is_boolean(const Value& value) {
  return value.kind == Kind::boolean;
}
bool is_true(const Value& value) {
  return value.kind == Kind::boolean && value.boolean;
}
bool is_false(const Value& value) {
  return value.kind == Kind::boolean && !value.boolean;
}
bool is_integer(const Value& value) {
  return value.kind == Kind::integer;
}
bool is_real(const Value& value) {
  return value.kind == Kind::real;
}
bool is_number(const Value& value) {
  return value.is_number();
}
bool is_text(const Value& value) {
  return value.kind == Kind::text;
}
bool is_mapping(const Value& value) {
  return value.kind == Kind::dict;
}
bool is_escaped(const Value& value) {
  return value.kind == Kind::text && value.markup;
}

// What has a length and items by index; undefined values have both.
bool is_sequence(const Value& value) {
  return value.kind == Kind::text || value.kind == Kind::dict || value.kind == Kind::undefined ||
         (value.kind == Kind::sequence && value.sequence->indexable());
}
bool is_iterable(const Value& value) {
  return value.kind == Kind::text || value.kind == Kind::dict || value.kind == Kind::undefined ||
         value.kind == Kind::sequence || value.kind == Kind::loop;
}
bool is_callable(const Value& value) {
  return value.kind == Kind::callable || value.kind == Kind::loop || value.kind == Kind::undefined;
}

bool names_filter(const Value& value) {
  return value.kind == Kind::text && find_filter(value.view()) != nullptr;
}
bool names_test(const Value& value) {
  return value.kind == Kind::text && find_test(value.view()) != nullptr;
}

template <Operator operation>
Result<Value> test_compare(Interpreter& interpreter, const Arguments& arguments) {
  const auto [left, right] = TRY(bind("test", {"a", "b"}, 2, arguments));
  return boolean(TRY(interpreter.compare(operation, left, right)));
}

// value % divisor == remainder
Result<Value> has_remainder(Interpreter& interpreter, const Value& value, const Value& divisor,
                            int64_t remainder) {
  const Value left = TRY(interpreter.binary(Operator::modulo, value, divisor));
  return boolean(TRY(equal(interpreter.runtime(), left, integer(remainder))));
}

Result<Value> odd(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value] = TRY(bind("odd", {"value"}, 1, arguments));
  return has_remainder(interpreter, value, integer(2), 1);
}
Result<Value> even(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value] = TRY(bind("even", {"value"}, 1, arguments));
  return has_remainder(interpreter, value, integer(2), 0);
}
Result<Value> divisible_by(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value, divisor] = TRY(bind("divisibleby", {"value", "num"}, 2, arguments));
  return has_remainder(interpreter, value, divisor, 0);
}

Result<Value> lower(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value] = TRY(bind("lower", {"value"}, 1, arguments));
  const std::string text = TRY(interpreter.to_string(value));
  return boolean(is_cased(text, false));
}
Result<Value> upper(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value] = TRY(bind("upper", {"value"}, 1, arguments));
  const std::string text = TRY(interpreter.to_string(value));
  return boolean(is_cased(text, true));
}

Result<Value> same_as(Interpreter&, const Arguments& arguments) {
  const auto [left, right] = TRY(bind("sameas", {"value", "other"}, 2, arguments));
  if (left.kind != right.kind) return boolean(false);
  switch (left.kind) {
    case Kind::none:
    case Kind::missing:
      return boolean(true);
    case Kind::boolean:
      return boolean(left.boolean == right.boolean);
    case Kind::integer:
    case Kind::real:
      return boolean(left.as_real() == right.as_real());
    case Kind::text:
      return boolean(left.view() == right.view());
    default:
      return boolean(left.dict == right.dict);  // objects: the same address, whatever the kind
  }
}

constexpr BuiltinEntry kTests[] = {{"!=", test_compare<Operator::not_equal>},
                                   {"<", test_compare<Operator::less>},
                                   {"<=", test_compare<Operator::less_equal>},
                                   {"==", test_compare<Operator::equal>},
                                   {">", test_compare<Operator::greater>},
                                   {">=", test_compare<Operator::greater_equal>},
                                   {"boolean", test_kind<is_boolean>},
                                   {"callable", test_kind<is_callable>},
                                   {"defined", test_kind<is_defined>},
                                   {"divisibleby", divisible_by},
                                   {"eq", test_compare<Operator::equal>},
                                   {"equalto", test_compare<Operator::equal>},
                                   {"escaped", test_kind<is_escaped>},
                                   {"even", even},
                                   {"false", test_kind<is_false>},
                                   {"filter", test_kind<names_filter>},
                                   {"float", test_kind<is_real>},
                                   {"ge", test_compare<Operator::greater_equal>},
                                   {"greaterthan", test_compare<Operator::greater>},
                                   {"gt", test_compare<Operator::greater>},
                                   {"in", test_compare<Operator::in>},
                                   {"integer", test_kind<is_integer>},
                                   {"iterable", test_kind<is_iterable>},
                                   {"le", test_compare<Operator::less_equal>},
                                   {"lessthan", test_compare<Operator::less>},
                                   {"lower", lower},
                                   {"lt", test_compare<Operator::less>},
                                   {"mapping", test_kind<is_mapping>},
                                   {"ne", test_compare<Operator::not_equal>},
                                   {"none", test_kind<is_none>},
                                   {"number", test_kind<is_number>},
                                   {"odd", odd},
                                   {"sameas", same_as},
                                   {"sequence", test_kind<is_sequence>},
                                   {"string", test_kind<is_text>},
                                   {"test", test_kind<names_test>},
                                   {"true", test_kind<is_true>},
                                   {"undefined", test_kind<is_undefined>},
                                   {"upper", upper}};
static_assert(is_sorted_table(kTests));

}  // namespace

const BuiltinEntry* find_test(std::string_view name) {
  return find_entry<BuiltinEntry>(kTests, name);
}

}  // namespace shoehorn::jinja
