#include <algorithm>

#include "formats/jinja/interpreter.h"
#include "formats/jinja/print.h"

namespace shoehorn::jinja {

Result<Value> Interpreter::evaluate(const Expression& expression) {
  TRY(runtime_.charge());
  const DepthGuard guard(depth_);
  if (depth_ > kMaximumDepth) {
    return fail("expected evaluation nested at most {} deep, found more", kMaximumDepth);
  }
  line_ = expression.line;
  return evaluate_kind(expression);
}

Result<Value> Interpreter::evaluate_kind(const Expression& expression) {
  switch (expression.kind) {
    case ExpressionKind::constant:
      return expression.constant;
    case ExpressionKind::name:
      return evaluate_name(expression);
    case ExpressionKind::attribute:
      return evaluate_attribute(expression);
    case ExpressionKind::item:
      return evaluate_item(expression);
    case ExpressionKind::slice:
      return evaluate_slice(expression);
    case ExpressionKind::list:
    case ExpressionKind::tuple:
      return evaluate_sequence(expression);
    case ExpressionKind::dict:
      return evaluate_dict(expression);
    case ExpressionKind::negate:
    case ExpressionKind::plus:
      return evaluate_sign(expression);
    case ExpressionKind::logical_not:
    case ExpressionKind::logical_and:
    case ExpressionKind::logical_or:
      return evaluate_logic(expression);
    case ExpressionKind::binary:
      return evaluate_binary(expression);
    case ExpressionKind::concatenate:
      return evaluate_concatenation(expression);
    case ExpressionKind::compare:
      return evaluate_comparison(expression);
    case ExpressionKind::conditional:
      return evaluate_conditional(expression);
    case ExpressionKind::call:
      return evaluate_call(expression);
    case ExpressionKind::filter:
    case ExpressionKind::test:
      return evaluate_builtin(expression);
  }
  return Value{};
}

Result<Value> Interpreter::evaluate_name(const Expression& expression) {
  const Value& value = place(expression.variable);
  if (value.present()) return value;
  return undefined(arena(), Undefined::Cause::variable, expression.name);
}

Result<Value> Interpreter::evaluate_attribute(const Expression& expression) {
  const Value object = TRY(evaluate(*expression.operands[0]));
  return attribute(object, expression.name);
}

Result<Value> Interpreter::evaluate_item(const Expression& expression) {
  const Value object = TRY(evaluate(*expression.operands[0]));
  const Value key = TRY(evaluate(*expression.operands[1]));
  return item(object, key);
}

Result<Value> Interpreter::evaluate_slice(const Expression& expression) {
  const Value object = TRY(evaluate(*expression.operands[0]));
  Value bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    const Expression* bound = expression.operands[i + 1].get();
    if (bound != nullptr) bounds[i] = TRY(evaluate(*bound));
  }
  return slice(object, bounds);
}

Result<Value> Interpreter::evaluate_sequence(const Expression& expression) {
  const size_t count = expression.operands.size();
  Value* items = arena().array<Value>(count);
  for (size_t i = 0; i < count; ++i) items[i] = TRY(evaluate(*expression.operands[i]));
  const SequenceType type =
      expression.kind == ExpressionKind::list ? SequenceType::list : SequenceType::tuple;
  return sequence_value(arena().make<Sequence>(type, std::span<const Value>(items, count)));
}

Result<Value> Interpreter::evaluate_dict(const Expression& expression) {
  const size_t count = expression.operands.size();
  const Value result = make_dict(arena(), count / 2);
  for (size_t i = 0; i < count; i += 2) {
    const Value key = TRY(evaluate(*expression.operands[i]));
    const Value value = TRY(evaluate(*expression.operands[i + 1]));
    TRY(insert(runtime_, *result.dict, key, value));
  }
  return result;
}

Result<Value> Interpreter::evaluate_sign(const Expression& expression) {
  const Value value = TRY(evaluate(*expression.operands[0]));
  const bool negative = expression.kind == ExpressionKind::negate;
  if (value.kind == Kind::undefined) return use_of_undefined(value);
  if (value.kind == Kind::real) return real(negative ? -value.real : value.real);
  if (value.is_whole()) {
    if (!negative) return integer(value.as_integer());
    return binary(Operator::subtract, integer(0), value);
  }
  return fail("bad operand type for unary {}: '{}'", negative ? '-' : '+', type_name(value));
}

Result<Value> Interpreter::evaluate_logic(const Expression& expression) {
  Value left = TRY(evaluate(*expression.operands[0]));
  switch (expression.kind) {
    case ExpressionKind::logical_not:
      return boolean(!truth(left));
    case ExpressionKind::logical_and:
      if (!truth(left)) return left;
      break;
    default:
      if (truth(left)) return left;
  }
  return evaluate(*expression.operands[1]);
}

Result<Value> Interpreter::evaluate_binary(const Expression& expression) {
  const Value left = TRY(evaluate(*expression.operands[0]));
  const Value right = TRY(evaluate(*expression.operands[1]));
  return binary(expression.operators[0], left, right);
}

Result<Value> Interpreter::evaluate_concatenation(const Expression& expression) {
  std::string out;
  for (const ExpressionPointer& operand : expression.operands) {
    const Value value = TRY(evaluate(*operand));
    TRY(append_string(runtime_, out, value));
  }
  return text(out);
}

Result<Value> Interpreter::evaluate_comparison(const Expression& expression) {
  Value left = TRY(evaluate(*expression.operands[0]));
  for (size_t i = 0; i < expression.operators.size(); ++i) {
    const Value right = TRY(evaluate(*expression.operands[i + 1]));
    if (!TRY(compare(expression.operators[i], left, right))) return boolean(false);
    left = right;
  }
  return boolean(true);
}

Result<Value> Interpreter::evaluate_conditional(const Expression& expression) {
  const Value condition = TRY(evaluate(*expression.operands[0]));
  if (truth(condition)) return evaluate(*expression.operands[1]);
  if (expression.operands[2] != nullptr) return evaluate(*expression.operands[2]);
  return undefined(arena(), Undefined::Cause::hint,
                   "the inline if-expression evaluated to false and no else section was defined");
}

Result<Value> Interpreter::evaluate_call(const Expression& expression, const Value* caller) {
  const Expression& target = *expression.operands[0];
  if (target.kind == ExpressionKind::attribute) {
    // A method called where it is read needs no value of its own.
    const Value self = TRY(evaluate(*target.operands[0]));
    const MethodEntry* entry = find_method(self, target.name);
    if (entry != nullptr && !entry->forbidden) {
      const Arguments arguments =
          TRY(evaluate_arguments(expression.arguments.get(), nullptr, caller));
      TRY(runtime_.charge());
      line_ = expression.line;
      return call_method(self, *entry, arguments);
    }
    const Value function = TRY(attribute(self, target.name));
    const Arguments arguments =
        TRY(evaluate_arguments(expression.arguments.get(), nullptr, caller));
    line_ = expression.line;
    return call(function, arguments);
  }
  const Value function = TRY(evaluate(target));
  const Arguments arguments = TRY(evaluate_arguments(expression.arguments.get(), nullptr, caller));
  line_ = expression.line;
  return call(function, arguments);
}

// A filter or test. `input` stands for the innermost missing operand: in {% filter a | b %} it is
// a's.
Result<Value> Interpreter::evaluate_builtin(const Expression& expression, const Value* input) {
  const Expression* operand = expression.operands[0].get();
  Value first;
  if (operand == nullptr) {
    CHECK(input != nullptr, "a filter without input");
    first = *input;
  } else if (input != nullptr && operand->kind == ExpressionKind::filter) {
    first = TRY(evaluate_builtin(*operand, input));
  } else {
    first = TRY(evaluate(*operand));
  }
  const bool is_filter = expression.kind == ExpressionKind::filter;
  if (expression.builtin == nullptr) {
    return fail("the {} '{}' is not supported", is_filter ? "filter" : "test", expression.name);
  }
  const Arguments arguments = TRY(evaluate_arguments(expression.arguments.get(), &first, nullptr));
  line_ = expression.line;
  return expression.builtin->function(*this, arguments);
}

Result<void> Interpreter::unpack_named(const Value& value, std::vector<NamedValue>& named) {
  if (value.kind != Kind::dict) {
    return fail("argument after ** must be a mapping, not {}", type_name(value));
  }
  for (size_t i = 0; i < value.dict->size; ++i) {
    const Dict::Entry& entry = value.dict->entries[i];
    if (entry.key.kind != Kind::text) return fail("keywords must be strings");
    const std::string_view name = entry.key.view();
    const bool twice = std::any_of(named.begin(), named.end(),
                                   [&](const NamedValue& other) { return other.name == name; });
    if (twice) return fail("got multiple values for keyword argument '{}'", name);
    named.push_back({name, entry.value});
    TRY(runtime_.charge_items(named.size()));
  }
  return {};
}

Result<Arguments> Interpreter::evaluate_arguments(const CallArguments* arguments,
                                                  const Value* first, const Value* caller) {
  static const CallArguments kNone;
  if (arguments == nullptr) arguments = &kNone;
  const size_t extra = first != nullptr ? 1 : 0;
  const size_t count = arguments->positional.size() + extra;
  Value* positional = arena().array<Value>(count);
  if (first != nullptr) positional[0] = *first;
  for (size_t i = 0; i < arguments->positional.size(); ++i) {
    positional[i + extra] = TRY(evaluate(*arguments->positional[i]));
  }
  Arguments result{.positional = {positional, count}};
  const size_t named_count = arguments->named.size() + (caller != nullptr ? 1 : 0);
  if (named_count == 0 && arguments->star == nullptr && arguments->double_star == nullptr) {
    return result;
  }
  std::vector<NamedValue> named;
  for (const CallArguments::Named& argument : arguments->named) {
    named.push_back({argument.name, {}});
    named.back().value = TRY(evaluate(*argument.value));
  }
  if (caller != nullptr) named.push_back({"caller", *caller});
  if (arguments->star != nullptr) {
    const Value value = TRY(evaluate(*arguments->star));
    const std::span<const Value> items = TRY(iterate(value));
    std::vector<Value> all(result.positional.begin(), result.positional.end());
    all.insert(all.end(), items.begin(), items.end());
    const Value kept = TRY(list(all));
    result.positional = kept.sequence->items;
  }
  if (arguments->double_star != nullptr) {
    const Value value = TRY(evaluate(*arguments->double_star));
    TRY(unpack_named(value, named));
  }
  NamedValue* copies = arena().array<NamedValue>(named.size());
  std::copy(named.begin(), named.end(), copies);
  result.named = {copies, named.size()};
  return result;
}

}  // namespace shoehorn::jinja
