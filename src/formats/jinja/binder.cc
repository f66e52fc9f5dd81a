// Scopes by Jinja's rules, which its compiler defines: a frame (the template, a loop body, a macro,
// a block) collects the names it reads and writes before any of its code runs. A name first written
// in a frame is its own; one that an outer frame knows is read from there, or copied on entry when
// the inner frame writes it too; any other is looked up among the template's inputs on entry. The
// branches of an if belong to the frame around them. See jinja2's documentation, "Assignments" and
// "Scoping Behavior".
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "formats/jinja/parser.h"

namespace shoehorn::jinja {
namespace {

// One activation's worth of slots: the template, a macro or a loop's filter.
struct Function {
  int depth = 0;
  int slot_count = 0;
  std::map<std::pair<int, std::string_view>, int> slots;  // by level and name

  int slot(int level, std::string_view name) {
    const auto [found, inserted] = slots.try_emplace({level, name}, slot_count);
    if (inserted) ++slot_count;
    return found->second;
  }
};

struct Place {
  Function* function = nullptr;
  int slot = 0;
};

struct Entry {
  enum class From : uint8_t { parameter, context, outer, nothing };
  From from = From::nothing;
  Place outer;  // outer
  std::string_view name;
};

class Symbols {
 public:
  Symbols(Symbols* parent, Function* function)
      : parent_(parent), function_(function), level_(parent == nullptr ? 0 : parent->level_ + 1) {}

  // One branch of an if: what it adds is held apart until merge().
  struct BranchTag {};
  Symbols(Symbols& base, BranchTag)
      : parent_(base.parent_), base_(&base), function_(base.function_), level_(base.level_) {}

  Function* function() const { return function_; }

  const Place* find(std::string_view name) const {
    for (const Symbols* s = this; s != nullptr; s = s->base_ != nullptr ? s->base_ : s->parent_) {
      const auto found = s->places_.find(name);
      if (found != s->places_.end()) return &found->second;
    }
    return nullptr;
  }

  void declare_parameter(std::string_view name) {
    stores_.insert(name);
    define(name, {Entry::From::parameter, {}, name});
  }

  void load(std::string_view name) {
    if (find(name) == nullptr) define(name, {Entry::From::context, {}, name});
  }

  void store(std::string_view name) {
    stores_.insert(name);
    for (const Symbols* s = this; s != nullptr; s = s->base_) {
      if (s->places_.count(name) > 0) return;
    }
    const Place* outer = parent_ == nullptr ? nullptr : parent_->find(name);
    if (outer != nullptr) {
      define(name, {Entry::From::outer, *outer, name});
    } else {
      define(name, {Entry::From::nothing, {}, name});
    }
  }

  // Branches of this frame, in order.
  void merge(std::initializer_list<Symbols*> branches) {
    std::set<std::string_view> stored;
    for (const Symbols* branch : branches) {
      for (const std::string_view name : branch->stores_) {
        if (!stores(name)) stored.insert(name);
      }
    }
    for (Symbols* branch : branches) {
      for (const auto& [name, place] : branch->places_) places_[name] = place;
      for (const auto& [slot, entry] : branch->entries_) entries_[slot] = entry;
      stores_.insert(branch->stores_.begin(), branch->stores_.end());
    }
    // A branch that does not run leaves the variable as it was before.
    for (const std::string_view name : stored) {
      const Place* outer = parent_ == nullptr ? nullptr : parent_->find(name);
      const int slot = find(name)->slot;
      if (outer != nullptr) {
        entries_[slot] = {Entry::From::outer, *outer, name};
      } else {
        entries_[slot] = {Entry::From::context, {}, name};
      }
    }
  }

  std::vector<Load> loads() const {
    std::vector<Load> result;
    for (const auto& [slot, entry] : entries_) {
      switch (entry.from) {
        case Entry::From::parameter:
          break;
        case Entry::From::context:
          result.push_back({.from = Load::From::context, .slot = slot, .name = entry.name});
          break;
        case Entry::From::outer:
          result.push_back(
              {.from = Load::From::variable, .slot = slot, .source = variable(entry.outer)});
          break;
        case Entry::From::nothing:
          result.push_back({.from = Load::From::nothing, .slot = slot});
          break;
      }
    }
    return result;
  }

  Variable variable(const Place& place) const {
    return {.hops = function_->depth - place.function->depth, .slot = place.slot};
  }
  Variable variable(std::string_view name) const {
    const Place* place = find(name);
    CHECK(place != nullptr, "the name '{}' was not collected", name);
    return variable(*place);
  }

 private:
  void define(std::string_view name, const Entry& entry) {
    const Place place{function_, function_->slot(level_, name)};
    places_[name] = place;
    entries_[place.slot] = entry;
  }
  bool stores(std::string_view name) const {
    for (const Symbols* s = this; s != nullptr; s = s->base_) {
      if (s->stores_.count(name) > 0) return true;
    }
    return false;
  }

  Symbols* parent_ = nullptr;
  Symbols* base_ = nullptr;
  Function* function_ = nullptr;
  int level_ = 0;
  std::map<std::string_view, Place> places_;
  std::map<int, Entry> entries_;  // by slot: what happens on entry of the frame
  std::set<std::string_view> stores_;
};

// Calls visit(expression) for the names of a tree.
template <typename Visit>
void for_each_name(Expression* expression, const Visit& visit) {
  if (expression == nullptr) return;
  if (expression->kind == ExpressionKind::name) visit(*expression);
  for (const ExpressionPointer& operand : expression->operands) {
    for_each_name(operand.get(), visit);
  }
  const CallArguments* arguments = expression->arguments.get();
  if (arguments == nullptr) return;
  for (const ExpressionPointer& value : arguments->positional) for_each_name(value.get(), visit);
  for (const CallArguments::Named& named : arguments->named) {
    for_each_name(named.value.get(), visit);
  }
  for_each_name(arguments->star.get(), visit);
  for_each_name(arguments->double_star.get(), visit);
}

void collect(Symbols& symbols, Expression* expression) {
  for_each_name(expression, [&](const Expression& name) { symbols.load(name.name); });
}

void collect(Symbols& symbols, const Target& target, bool as_parameter = false) {
  switch (target.kind) {
    case Target::Kind::name:
      as_parameter ? symbols.declare_parameter(target.name) : symbols.store(target.name);
      break;
    case Target::Kind::attribute:
      symbols.load(target.name);
      break;
    case Target::Kind::tuple:
      for (const Target& item : target.items) collect(symbols, item, as_parameter);
  }
}

void collect(Symbols& symbols, const Body& body);

void collect_conditional(Symbols& symbols, const Statement& statement) {
  collect(symbols, statement.branches[0].condition.get());
  Symbols first(symbols, Symbols::BranchTag{});
  collect(first, statement.branches[0].body);
  Symbols others(symbols, Symbols::BranchTag{});
  for (size_t i = 1; i < statement.branches.size(); ++i) {
    collect(others, statement.branches[i].condition.get());
    Symbols other(others, Symbols::BranchTag{});
    collect(other, statement.branches[i].body);
    others.merge({&other});
  }
  Symbols last(symbols, Symbols::BranchTag{});
  collect(last, statement.else_body);
  symbols.merge({&first, &others, &last});
}

void collect(Symbols& symbols, const Body& body) {
  for (const StatementPointer& statement : body) {
    switch (statement->kind) {
      case StatementKind::conditional:
        collect_conditional(symbols, *statement);
        break;
      case StatementKind::loop:  // its test and body have frames of their own
        collect(symbols, statement->expressions[0].get());
        break;
      case StatementKind::print:
      case StatementKind::call_block:
      case StatementKind::filter_block:
      case StatementKind::with:
        for (const ExpressionPointer& e : statement->expressions) collect(symbols, e.get());
        break;
      case StatementKind::set:
        collect(symbols, statement->expressions[0].get());
        collect(symbols, statement->target);
        break;
      case StatementKind::set_block:
        collect(symbols, statement->expressions[0].get());
        collect(symbols, statement->target);
        break;
      case StatementKind::macro:
        symbols.store(statement->target.name);
        break;
      default:
        break;
    }
  }
}

class Binder {
 public:
  void bind(Template& tree) {
    Function function;
    Symbols symbols(nullptr, &function);
    collect(symbols, tree.body);
    tree.loads = symbols.loads();
    bind(symbols, tree.body);
    tree.slot_count = function.slot_count;
  }

 private:
  void bind(Symbols& symbols, Expression* expression) {
    for_each_name(expression,
                  [&](Expression& name) { name.variable = symbols.variable(name.name); });
  }

  void bind(Symbols& symbols, Target& target) {
    if (target.kind != Target::Kind::tuple) target.variable = symbols.variable(target.name);
    for (Target& item : target.items) bind(symbols, item);
  }

  void bind(Symbols& symbols, Body& body) {
    for (const StatementPointer& statement : body) bind(symbols, *statement);
  }

  void bind(Symbols& symbols, Statement& statement) {
    if (statement.kind == StatementKind::loop) {
      bind_loop(symbols, statement);
      return;
    }
    for (const ExpressionPointer& e : statement.expressions) bind(symbols, e.get());
    switch (statement.kind) {
      case StatementKind::conditional:
        for (Statement::Branch& branch : statement.branches) {
          bind(symbols, branch.condition.get());
          bind(symbols, branch.body);
        }
        bind(symbols, statement.else_body);
        break;
      case StatementKind::set:
        bind(symbols, statement.target);
        break;
      case StatementKind::set_block:
        bind(symbols, statement.target);
        bind_inner(symbols, statement);
        break;
      case StatementKind::macro:
        bind(symbols, statement.target);
        bind_function(symbols, *statement.function);
        break;
      case StatementKind::call_block:
        bind_function(symbols, *statement.function);
        break;
      case StatementKind::filter_block:
      case StatementKind::scope:
      case StatementKind::with:
        bind_inner(symbols, statement);
        break;
      default:
        break;
    }
  }

  // A body in a frame of its own.
  void bind_inner(Symbols& outer, Statement& statement) {
    Symbols inner(&outer, outer.function());
    for (const Target& target : statement.targets) collect(inner, target, true);
    collect(inner, statement.body);
    statement.loads = inner.loads();
    for (Target& target : statement.targets) bind(inner, target);
    bind(inner, statement.body);
  }

  void bind_loop(Symbols& outer, Statement& statement) {
    bind(outer, statement.expressions[0].get());
    if (statement.function != nullptr) {
      bind_loop_filter(outer, *statement.function, statement.expressions[1].get());
    }
    Symbols inner(&outer, outer.function());
    inner.declare_parameter("loop");
    collect(inner, statement.target, true);
    collect(inner, statement.body);
    statement.loads = inner.loads();
    statement.loop = inner.variable("loop");
    bind(inner, statement.target);
    bind(inner, statement.body);
    Symbols otherwise(&outer, outer.function());
    collect(otherwise, statement.else_body);
    statement.else_loads = otherwise.loads();
    bind(otherwise, statement.else_body);
  }

  void bind_loop_filter(Symbols& outer, Macro& filter, Expression* test) {
    Function function{.depth = outer.function()->depth + 1};
    Symbols inner(&outer, &function);
    collect(inner, filter.parameters[0], true);
    collect(inner, test);
    filter.loads = inner.loads();
    bind(inner, filter.parameters[0]);
    bind(inner, test);
    filter.slot_count = function.slot_count;
  }

  void bind_function(Symbols& outer, Macro& macro) {
    Function function{.depth = outer.function()->depth + 1};
    Symbols inner(&outer, &function);
    for (const Target& parameter : macro.parameters) collect(inner, parameter, true);
    const std::pair<bool, std::string_view> extras[] = {{macro.uses_caller, "caller"},
                                                        {macro.uses_kwargs, "kwargs"},
                                                        {macro.uses_varargs, "varargs"}};
    for (const auto& [used, name] : extras) {
      if (used) inner.declare_parameter(name);
    }
    for (const ExpressionPointer& value : macro.defaults) collect(inner, value.get());
    collect(inner, macro.body);
    macro.loads = inner.loads();
    if (macro.uses_caller) macro.caller_slot = inner.variable("caller").slot;
    if (macro.uses_kwargs) macro.kwargs_slot = inner.variable("kwargs").slot;
    if (macro.uses_varargs) macro.varargs_slot = inner.variable("varargs").slot;
    for (Target& parameter : macro.parameters) bind(inner, parameter);
    for (const ExpressionPointer& value : macro.defaults) bind(inner, value.get());
    bind(inner, macro.body);
    macro.slot_count = function.slot_count;
  }
};

}  // namespace

void bind_names(Template& tree) {
  Binder().bind(tree);
}

}  // namespace shoehorn::jinja
