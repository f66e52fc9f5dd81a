// Renders a syntax tree by walking it. One Interpreter is one rendering.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/jinja/callable.h"
#include "formats/jinja/runtime.h"
#include "formats/jinja/syntax.h"
#include "formats/jinja/value.h"

namespace shoehorn::jinja {

// The variables of one call of a function (the template, a macro, a loop's filter).
struct Activation {
  Activation* outer = nullptr;  // of the function around it in the text
  Value* slots = nullptr;
};

// The special variable `loop`. Items are drawn one by one, as a filter may depend on what the body
// has done; loop.last and loop.length look ahead.
struct Loop {
  std::span<const Value> source;
  size_t next = 0;                      // of source
  const Statement* filtered = nullptr;  // the loop, where its filter still applies to source
  Activation* activation = nullptr;     // around the filter
  bool has_peeked = false;
  Value peeked;
  int64_t index0 = -1;
  Value current, previous;
  int64_t length = -1;  // -1: not asked yet
  Value last_changed;
};

class Interpreter {
 public:
  Interpreter(const Template& tree, Runtime& runtime, const Dict& variables)
      : tree_(tree), runtime_(runtime), variables_(variables) {}

  Result<std::string> render();
  int line() const { return line_; }  // of the last node evaluated, for errors

  // For filters, tests and methods.
  Runtime& runtime() { return runtime_; }
  Arena& arena() { return runtime_.arena(); }
  Result<Value> text(std::string_view content);  // copied; errors above kMaximumTextBytes
  Result<Value> list(std::span<const Value> items, SequenceType type = SequenceType::list);
  Value method(const Value& self, const MethodEntry& entry);
  Result<std::string> to_string(const Value& value);
  Result<std::span<const Value>> iterate(const Value& value);
  Result<Value> attribute(const Value& object, std::string_view name);
  Result<Value> item(const Value& object, const Value& key);
  Result<Value> slice(const Value& object, std::span<const Value, 3> bounds);
  Result<Value> call(const Value& function, const Arguments& arguments);
  Result<Value> filter(std::string_view name, const Arguments& arguments);
  Result<bool> test(std::string_view name, const Arguments& arguments);
  Result<Value> binary(Operator operation, const Value& left, const Value& right);
  Result<bool> contains(const Value& container, const Value& value);
  Result<bool> compare(Operator operation, const Value& left, const Value& right);

  Result<bool> peek(Loop& loop);  // whether there is a next item, in loop.peeked
  Result<int64_t> length(Loop& loop);

 private:
  enum class Flow : uint8_t { normal, break_loop, continue_loop };
  class Capture;

  // Statements.
  Result<Flow> execute(const Body& body);
  Result<Flow> execute(const Statement& statement);
  Result<Flow> execute_block(const Statement& statement);
  Result<void> print(const Statement& statement);
  Result<Flow> conditional(const Statement& statement);
  Result<Flow> loop(const Statement& statement);
  Result<bool> advance(Loop& loop);
  Result<bool> passes(const Loop& loop, const Value& item);
  Result<void> set(const Statement& statement);
  Result<Flow> set_block(const Statement& statement);
  Result<Flow> filter_block(const Statement& statement);
  Result<Flow> with(const Statement& statement);
  Result<void> call_block(const Statement& statement);
  Result<void> assign(const Target& target, const Value& value);
  Result<void> write(std::string_view text);
  Result<void> write_value(const Value& value);
  Result<Flow> captured(const Body& body, std::string& text);

  // Frames.
  Value& place(const Variable& variable);
  Value lookup(std::string_view name);
  Result<void> enter(const std::vector<Load>& loads);
  Activation* activate(int slot_count, Activation* outer);
  Value macro_value(const Macro& macro);
  Result<Value> call_method(const Value& self, const MethodEntry& entry,
                            const Arguments& arguments);
  Result<Value> call_macro(const Callable& callable, const Arguments& arguments);
  Result<void> bind_macro(const Macro& macro, const Arguments& arguments, Activation& activation);
  Result<Value> run_macro(const Macro& macro);

  // Expressions.
  Result<Value> evaluate(const Expression& expression);
  Result<Value> evaluate_kind(const Expression& expression);
  Result<Value> evaluate_name(const Expression& expression);
  Result<Value> evaluate_attribute(const Expression& expression);
  Result<Value> evaluate_item(const Expression& expression);
  Result<Value> evaluate_slice(const Expression& expression);
  Result<Value> evaluate_sequence(const Expression& expression);
  Result<Value> evaluate_dict(const Expression& expression);
  Result<Value> evaluate_sign(const Expression& expression);
  Result<Value> evaluate_logic(const Expression& expression);
  Result<Value> evaluate_binary(const Expression& expression);
  Result<Value> evaluate_concatenation(const Expression& expression);
  Result<Value> evaluate_comparison(const Expression& expression);
  Result<Value> evaluate_conditional(const Expression& expression);
  Result<Value> evaluate_call(const Expression& expression, const Value* caller = nullptr);
  Result<Value> evaluate_builtin(const Expression& expression, const Value* input = nullptr);
  Result<Arguments> evaluate_arguments(const CallArguments* arguments, const Value* first,
                                       const Value* caller);
  Result<void> unpack_named(const Value& value, std::vector<NamedValue>& named);

  const Template& tree_;
  Runtime& runtime_;
  const Dict& variables_;
  Activation* activation_ = nullptr;
  std::string* sink_ = nullptr;
  size_t live_bytes_ = 0;  // of all sinks
  int depth_ = 0;
  int line_ = 1;
};

}  // namespace shoehorn::jinja
