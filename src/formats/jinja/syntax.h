// The syntax tree of a template. Nodes are built by the parser; the binder then gives every name a
// place (a slot of an activation).
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "formats/jinja/callable.h"
#include "formats/jinja/value.h"

namespace shoehorn::jinja {

// A variable: slot `slot` of the activation `hops` functions outward.
struct Variable {
  int hops = 0;
  int slot = 0;
};

enum class ExpressionKind : uint8_t {
  constant,
  name,
  attribute,  // operands[0].name
  item,       // operands[0][operands[1]]
  slice,      // operands[0][operands[1] : operands[2] : operands[3]], each may be null
  list,
  tuple,
  dict,  // operands: key, value, key, value...
  negate,
  plus,
  logical_not,
  logical_and,
  logical_or,
  binary,       // operators[0]
  concatenate,  // a ~ b ~ c
  compare,      // operands[0] operators[0] operands[1] operators[1] operands[2]...
  conditional,  // operands: condition, then, else (may be null)
  call,         // operands[0](arguments)
  filter,       // operands[0] (null in filter blocks) | name(arguments)
  test          // operands[0] is name(arguments)
};

enum class Operator : uint8_t {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in
};

struct Expression;
using ExpressionPointer = std::unique_ptr<Expression>;

struct CallArguments {
  struct Named {
    std::string_view name;
    ExpressionPointer value;
  };
  std::vector<ExpressionPointer> positional;
  std::vector<Named> named;
  ExpressionPointer star;         // *arguments
  ExpressionPointer double_star;  // **arguments
};

struct Expression {
  ExpressionKind kind = ExpressionKind::constant;
  int line = 0;
  int depth = 1;  // of the tree below, at most kMaximumSyntaxDepth
  Value constant;
  std::string_view name;  // name, attribute, filter, test: text of the template
  Variable variable;      // name
  std::vector<ExpressionPointer> operands;
  std::vector<Operator> operators;
  std::unique_ptr<CallArguments> arguments;
  const BuiltinEntry* builtin = nullptr;  // filter, test; null: unknown, an error when reached
};

// What happens to a variable when its frame (a loop body, a macro, a block) is entered.
struct Load {
  enum class From : uint8_t { context, variable, nothing };
  From from = From::nothing;
  int slot = 0;                // of the innermost activation
  std::string_view name = {};  // context
  Variable source = {};        // variable
};

struct Target {
  enum class Kind : uint8_t { name, attribute, tuple };
  Kind kind = Kind::name;
  int line = 0;
  std::string_view name;       // name; attribute: the namespace's
  std::string_view attribute;  // attribute
  Variable variable;
  std::vector<Target> items;  // tuple
};

struct Statement;
using StatementPointer = std::unique_ptr<Statement>;
using Body = std::vector<StatementPointer>;

// A function of its own activation: a macro, the body of a call block, or a loop's filter.
struct Macro {
  std::string_view name;
  std::vector<Target> parameters;
  std::vector<ExpressionPointer> defaults;  // of the last parameters
  Body body;
  std::vector<Load> loads;
  int slot_count = 0;
  bool uses_caller = false, uses_kwargs = false, uses_varargs = false;  // by the body, undeclared
  int caller_slot = -1, kwargs_slot = -1, varargs_slot = -1;            // where used
};

enum class StatementKind : uint8_t {
  text,
  print,         // expressions
  conditional,   // branches, else_body
  loop,          // target in expressions[0] if expressions[1]: body, else_body
  set,           // target = expressions[0]
  set_block,     // target = body | expressions[0] (a filter, may be null)
  macro,         // target = function
  call_block,    // expressions[0] (a call) with function as its caller
  filter_block,  // expressions[0] (a filter) of body
  scope,         // body, in a frame of its own
  with,          // targets = expressions: body
  break_loop,
  continue_loop
};

struct Statement {
  struct Branch {
    ExpressionPointer condition;
    Body body;
  };
  StatementKind kind = StatementKind::text;
  int line = 0;
  std::string_view text;
  std::vector<ExpressionPointer> expressions;
  std::vector<Branch> branches;
  Body body;
  Body else_body;
  Target target;
  std::vector<Target> targets;      // with
  std::vector<Load> loads;          // on entry of body
  std::vector<Load> else_loads;     // loop
  Variable loop;                    // loop: the special variable
  std::unique_ptr<Macro> function;  // macro, call_block; loop: its filter, body unused
};

// A whole template. `text` owns what the nodes' views point into, with `arena`.
struct Template {
  std::string text;
  Arena arena{size_t{64} << 20};
  Body body;
  std::vector<Load> loads;
  int slot_count = 0;
};

}  // namespace shoehorn::jinja
