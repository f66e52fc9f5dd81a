// Rendering as a whole, frames, macros, and what values answer to: attributes, items, iteration.
#include "formats/jinja/interpreter.h"

#include <algorithm>

#include "formats/jinja/print.h"
#include "formats/jinja/text.h"

namespace shoehorn::jinja {

Result<std::string> Interpreter::render() {
  std::string output;
  sink_ = &output;
  activation_ = activate(tree_.slot_count, nullptr);
  TRY(enter(tree_.loads));
  TRY(execute(tree_.body));
  return output;
}

Result<Value> Interpreter::text(std::string_view content) {
  if (content.size() > kMaximumTextBytes) {
    return fail("expected text of at most {} MiB, the template makes {} bytes",
                kMaximumTextBytes >> 20, content.size());
  }
  TRY(runtime_.charge_bytes(content.size()));
  return copied_text(arena(), content);
}

Result<Value> Interpreter::list(std::span<const Value> items, SequenceType type) {
  if (items.size() > kMaximumItems) {
    return fail("expected a list of at most {} items, the template makes {}", kMaximumItems,
                items.size());
  }
  TRY(runtime_.charge_items(items.size()));
  return make_sequence(arena(), type, items);
}

Value Interpreter::method(const Value& self, const MethodEntry& entry) {
  Value result{.kind = Kind::callable};
  result.callable = arena().make<Callable>(Callable{
      .type = Callable::Type::method, .name = entry.name, .method = entry.method, .self = self});
  return result;
}

Result<std::string> Interpreter::to_string(const Value& value) {
  std::string out;
  TRY(append_string(runtime_, out, value));
  return out;
}

Activation* Interpreter::activate(int slot_count, Activation* outer) {
  return arena().make<Activation>(outer, arena().array<Value>(static_cast<size_t>(slot_count)));
}

Value& Interpreter::place(const Variable& variable) {
  Activation* activation = activation_;
  for (int i = 0; i < variable.hops; ++i) activation = activation->outer;
  return activation->slots[variable.slot];
}

Value Interpreter::lookup(std::string_view name) {
  const Value* found = find_text(variables_, name);
  if (found != nullptr) return *found;
  const BuiltinEntry* global = find_global(name);
  if (global == nullptr) return {};
  Value result{.kind = Kind::callable};
  result.callable =
      arena().make<Callable>(Callable{.name = global->name, .function = global->function});
  return result;
}

Result<void> Interpreter::enter(const std::vector<Load>& loads) {
  TRY(runtime_.charge_items(loads.size()));
  for (const Load& load : loads) {
    Value& slot = activation_->slots[load.slot];
    switch (load.from) {
      case Load::From::context:
        slot = lookup(load.name);
        break;
      case Load::From::variable:
        slot = place(load.source);
        break;
      case Load::From::nothing:
        slot = {};
    }
  }
  return {};
}

Value Interpreter::macro_value(const Macro& macro) {
  Value result{.kind = Kind::callable};
  result.callable = arena().make<Callable>(Callable{
      .type = Callable::Type::macro, .name = macro.name, .macro = &macro, .closure = activation_});
  return result;
}

Result<Value> Interpreter::call(const Value& function, const Arguments& arguments) {
  TRY(runtime_.charge());
  if (function.kind == Kind::undefined) return use_of_undefined(function);
  if (function.kind != Kind::callable) {
    return fail("'{}' object is not callable", type_name(function));
  }
  const Callable& callable = *function.callable;
  switch (callable.type) {
    case Callable::Type::macro:
      return call_macro(callable, arguments);
    case Callable::Type::function:
      return callable.function(*this, arguments);
    case Callable::Type::method:
      break;
  }
  return call_method(callable.self, {callable.name, callable.method}, arguments);
}

Result<Value> Interpreter::call_method(const Value& self, const MethodEntry& entry,
                                       const Arguments& arguments) {
  if (entry.method != nullptr) return entry.method(*this, self, arguments);
  return fail("the method '{}' of {} is not supported", entry.name, type_name(self));
}

Result<Value> Interpreter::call_macro(const Callable& callable, const Arguments& arguments) {
  const Macro& macro = *callable.macro;
  TRY(runtime_.charge(kStepsOfMacroCall));
  Activation* activation = activate(macro.slot_count, callable.closure);
  TRY(bind_macro(macro, arguments, *activation));
  Activation* outer = std::exchange(activation_, activation);
  Result<Value> result = run_macro(macro);
  activation_ = outer;
  return result;
}

// Parameters first, then caller, then what is left over to kwargs and varargs.
Result<void> Interpreter::bind_macro(const Macro& macro, const Arguments& arguments,
                                     Activation& activation) {
  const size_t count = macro.parameters.size();
  const size_t given = std::min(count, arguments.positional.size());
  for (size_t i = 0; i < given; ++i) {
    activation.slots[macro.parameters[i].variable.slot] = arguments.positional[i];
  }
  Value rest = make_dict(arena(), 0);
  for (const NamedValue& named : arguments.named) {
    const auto parameter = std::find_if(
        macro.parameters.begin() + static_cast<std::ptrdiff_t>(given), macro.parameters.end(),
        [&](const Target& target) { return target.name == named.name; });
    if (parameter != macro.parameters.end()) {
      activation.slots[parameter->variable.slot] = named.value;
    } else if (named.name == "caller" && macro.uses_caller) {
      activation.slots[macro.caller_slot] = named.value;
    } else if (macro.uses_kwargs) {
      TRY(insert(runtime_, *rest.dict, borrowed_text(arena(), named.name), named.value));
    } else {
      return fail("macro '{}' takes no keyword argument '{}'", macro.name, named.name);
    }
  }
  if (macro.uses_caller && !activation.slots[macro.caller_slot].present()) {
    activation.slots[macro.caller_slot] =
        undefined(arena(), Undefined::Cause::hint, "No caller defined");
  }
  if (macro.uses_kwargs) activation.slots[macro.kwargs_slot] = rest;
  if (macro.uses_varargs) {
    activation.slots[macro.varargs_slot] =
        TRY(list(arguments.positional.subspan(given), SequenceType::tuple));
  } else if (arguments.positional.size() > count) {
    return fail("macro '{}' takes not more than {} argument(s)", macro.name, count);
  }
  return {};
}

Result<Value> Interpreter::run_macro(const Macro& macro) {
  TRY(enter(macro.loads));
  const size_t count = macro.parameters.size();
  for (size_t i = 0; i < count; ++i) {
    Value& slot = activation_->slots[macro.parameters[i].variable.slot];
    if (slot.present()) continue;
    const size_t first_default = count - macro.defaults.size();
    slot = i >= first_default ? TRY(evaluate(*macro.defaults[i - first_default]))
               : undefined(arena(), Undefined::Cause::variable, macro.parameters[i].name);
  }
  std::string output;
  TRY(captured(macro.body, output));
  return text(output);
}

Result<std::span<const Value>> Interpreter::iterate(const Value& value) {
  switch (value.kind) {
    case Kind::undefined:
      return std::span<const Value>();
    case Kind::sequence: {
      Sequence& sequence = *value.sequence;
      TRY(runtime_.charge_items(sequence.items.size()));
      if (sequence.type != SequenceType::iterator) return sequence.items;
      return sequence.items.subspan(std::exchange(sequence.position, sequence.items.size()));
    }
    case Kind::dict: {
      const Dict& dict = *value.dict;
      Value* keys = arena().array<Value>(dict.size);
      for (size_t i = 0; i < dict.size; ++i) keys[i] = dict.entries[i].key;
      TRY(runtime_.charge_items(dict.size));
      return std::span<const Value>(keys, dict.size);
    }
    case Kind::text: {
      const std::string_view text = value.view();
      const auto count = static_cast<size_t>(TRY(characters_of(runtime_, *value.text)));
      if (count > kMaximumItems) {
        return fail("expected at most {} characters to iterate over, found {}", kMaximumItems,
                    count);
      }
      TRY(runtime_.charge_items(count));
      Value* items = arena().array<Value>(count);
      size_t position = 0;
      for (size_t i = 0; i < count; ++i) {
        const size_t begin = position;
        next_character(text, position);
        items[i] = borrowed_text(arena(), text.substr(begin, position - begin));
      }
      return std::span<const Value>(items, count);
    }
    default:
      return fail("'{}' object is not iterable", type_name(value));
  }
}

Result<Value> Interpreter::filter(std::string_view name, const Arguments& arguments) {
  TRY(runtime_.charge());
  const BuiltinEntry* entry = find_filter(name);
  if (entry == nullptr) return fail("the filter '{}' is not supported", name);
  return entry->function(*this, arguments);
}

Result<bool> Interpreter::test(std::string_view name, const Arguments& arguments) {
  TRY(runtime_.charge());
  const BuiltinEntry* entry = find_test(name);
  if (entry == nullptr) return fail("the test '{}' is not supported", name);
  return truth(TRY(entry->function(*this, arguments)));
}

}  // namespace shoehorn::jinja
