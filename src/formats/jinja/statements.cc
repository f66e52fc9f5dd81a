#include <utility>

#include "formats/jinja/interpreter.h"
#include "formats/jinja/print.h"

namespace shoehorn::jinja {

// Output of a body kept apart from the rendering's while it lives.
class Interpreter::Capture {
 public:
  Capture(Interpreter& interpreter, std::string& text)
      : interpreter_(interpreter), text_(text), outer_(std::exchange(interpreter.sink_, &text)) {}
  ~Capture() {
    interpreter_.sink_ = outer_;
    interpreter_.live_bytes_ -= text_.size();
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

 private:
  Interpreter& interpreter_;
  std::string& text_;
  std::string* outer_;
};

Result<Interpreter::Flow> Interpreter::execute(const Body& body) {
  for (const StatementPointer& statement : body) {
    const Flow flow = TRY(execute(*statement));
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Result<Interpreter::Flow> Interpreter::execute(const Statement& statement) {
  TRY(runtime_.charge());
  line_ = statement.line;
  switch (statement.kind) {
    case StatementKind::text:
      TRY(write(statement.text));
      return Flow::normal;
    case StatementKind::print:
      TRY(print(statement));
      return Flow::normal;
    case StatementKind::set:
      TRY(set(statement));
      return Flow::normal;
    case StatementKind::macro:
      TRY(assign(statement.target, macro_value(*statement.function)));
      return Flow::normal;
    case StatementKind::break_loop:
      return Flow::break_loop;
    case StatementKind::continue_loop:
      return Flow::continue_loop;
    default:
      return execute_block(statement);
  }
}

Result<Interpreter::Flow> Interpreter::execute_block(const Statement& statement) {
  const DepthGuard guard(depth_);
  if (depth_ > kMaximumDepth) {
    return fail("expected evaluation nested at most {} deep, found more", kMaximumDepth);
  }
  switch (statement.kind) {
    case StatementKind::conditional:
      return conditional(statement);
    case StatementKind::loop:
      return loop(statement);
    case StatementKind::set_block:
      return set_block(statement);
    case StatementKind::filter_block:
      return filter_block(statement);
    case StatementKind::with:
      return with(statement);
    case StatementKind::call_block:
      TRY(call_block(statement));
      return Flow::normal;
    default:
      TRY(enter(statement.loads));
      return execute(statement.body);
  }
}

Result<void> Interpreter::write(std::string_view text) {
  if (live_bytes_ + text.size() > kMaximumOutputBytes) {
    return fail("expected at most {} MiB of output, the template makes more",
                kMaximumOutputBytes >> 20);
  }
  live_bytes_ += text.size();
  sink_->append(text);
  return runtime_.charge_bytes(text.size());
}

Result<void> Interpreter::write_value(const Value& value) {
  if (value.kind == Kind::text) return write(value.view());
  const std::string text = TRY(to_string(value));
  return write(text);
}

Result<void> Interpreter::print(const Statement& statement) {
  for (const ExpressionPointer& expression : statement.expressions) {
    const Value value = TRY(evaluate(*expression));
    TRY(write_value(value));
  }
  return {};
}

Result<Interpreter::Flow> Interpreter::conditional(const Statement& statement) {
  for (const Statement::Branch& branch : statement.branches) {
    const Value condition = TRY(evaluate(*branch.condition));
    if (truth(condition)) return execute(branch.body);
  }
  return execute(statement.else_body);
}

Result<bool> Interpreter::passes(const Loop& loop, const Value& item) {
  const Macro& filter = *loop.filtered->function;
  Activation* outer = std::exchange(activation_, activate(filter.slot_count, loop.activation));
  const auto run = [&]() -> Result<bool> {
    TRY(enter(filter.loads));
    TRY(assign(filter.parameters[0], item));
    return truth(TRY(evaluate(*loop.filtered->expressions[1])));
  };
  Result<bool> result = run();
  activation_ = outer;
  return result;
}

Result<bool> Interpreter::peek(Loop& loop) {
  while (!loop.has_peeked && loop.next < loop.source.size()) {
    TRY(runtime_.charge());
    const Value& item = loop.source[loop.next++];
    if (loop.filtered != nullptr && !TRY(passes(loop, item))) continue;
    loop.peeked = item;
    loop.has_peeked = true;
  }
  return loop.has_peeked;
}

Result<bool> Interpreter::advance(Loop& loop) {
  if (!TRY(peek(loop))) return false;
  loop.previous = loop.current;
  loop.current = loop.peeked;
  loop.has_peeked = false;
  ++loop.index0;
  return true;
}

Result<int64_t> Interpreter::length(Loop& loop) {
  if (loop.length >= 0) return loop.length;
  if (loop.filtered != nullptr) {
    std::vector<Value> rest;
    while (TRY(peek(loop))) {
      rest.push_back(loop.peeked);
      loop.has_peeked = false;
    }
    const Value kept = TRY(list(rest));
    loop.source = kept.sequence->items;
    loop.next = 0;
    loop.filtered = nullptr;
  }
  const size_t left = loop.source.size() - loop.next + (loop.has_peeked ? 1 : 0);
  loop.length = loop.index0 + 1 + static_cast<int64_t>(left);
  return loop.length;
}

Result<Interpreter::Flow> Interpreter::loop(const Statement& statement) {
  const Value iterable = TRY(evaluate(*statement.expressions[0]));
  Value special{.kind = Kind::loop};
  special.loop = arena().make<Loop>();
  Loop& loop = *special.loop;
  loop.source = TRY(iterate(iterable));
  loop.filtered = statement.function != nullptr ? &statement : nullptr;
  loop.activation = activation_;
  bool completed_one = false;  // as in Jinja: an iteration left by break or continue does not count
  while (TRY(advance(loop))) {
    TRY(runtime_.charge());
    TRY(assign(statement.target, loop.current));
    place(statement.loop) = special;
    TRY(enter(statement.loads));
    const Flow flow = TRY(execute(statement.body));
    if (flow == Flow::break_loop) break;
    if (flow == Flow::normal) completed_one = true;
  }
  if (completed_one || statement.else_body.empty()) return Flow::normal;
  TRY(enter(statement.else_loads));
  return execute(statement.else_body);
}

Result<void> Interpreter::set(const Statement& statement) {
  const Value value = TRY(evaluate(*statement.expressions[0]));
  return assign(statement.target, value);
}

Result<void> Interpreter::assign(const Target& target, const Value& value) {
  switch (target.kind) {
    case Target::Kind::name:
      place(target.variable) = value;
      return {};
    case Target::Kind::attribute: {
      const Value object = place(target.variable);
      if (object.kind != Kind::name_space) {
        return fail("cannot assign attribute '{}' on non-namespace object", target.attribute);
      }
      if (target.attribute[0] == '_') {
        return fail("expected an attribute that does not start with an underscore, found '{}'",
                    target.attribute);
      }
      return insert(runtime_, object.name_space->attributes,
                    borrowed_text(arena(), target.attribute), value);
    }
    case Target::Kind::tuple:
      break;
  }
  const std::span<const Value> items = TRY(iterate(value));
  if (items.size() != target.items.size()) {
    return fail("expected {} values to unpack, found {}", target.items.size(), items.size());
  }
  for (size_t i = 0; i < items.size(); ++i) TRY(assign(target.items[i], items[i]));
  return {};
}

// What a body prints. A break or continue inside drops it, as in Jinja.
Result<Interpreter::Flow> Interpreter::captured(const Body& body, std::string& text) {
  const Capture capture(*this, text);
  return execute(body);
}

Result<Interpreter::Flow> Interpreter::set_block(const Statement& statement) {
  TRY(enter(statement.loads));
  std::string output;
  const Flow flow = TRY(captured(statement.body, output));
  if (flow != Flow::normal) return flow;
  Value value = TRY(text(output));
  const Expression* filters = statement.expressions[0].get();
  if (filters != nullptr) value = TRY(evaluate_builtin(*filters, &value));
  TRY(assign(statement.target, value));
  return Flow::normal;
}

Result<Interpreter::Flow> Interpreter::filter_block(const Statement& statement) {
  TRY(enter(statement.loads));
  std::string output;
  const Flow flow = TRY(captured(statement.body, output));
  if (flow != Flow::normal) return flow;
  const Value input = TRY(text(output));
  const Value value = TRY(evaluate_builtin(*statement.expressions[0], &input));
  TRY(write_value(value));
  return Flow::normal;
}

Result<Interpreter::Flow> Interpreter::with(const Statement& statement) {
  TRY(enter(statement.loads));
  for (size_t i = 0; i < statement.targets.size(); ++i) {
    const Value value = TRY(evaluate(*statement.expressions[i]));
    TRY(assign(statement.targets[i], value));
  }
  return execute(statement.body);
}

Result<void> Interpreter::call_block(const Statement& statement) {
  const Value caller = macro_value(*statement.function);
  const Value result = TRY(evaluate_call(*statement.expressions[0], &caller));
  return write_value(result);
}

}  // namespace shoehorn::jinja
