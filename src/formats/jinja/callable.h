// What templates can call: macros, functions of the environment, methods of values.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/jinja/value.h"

namespace shoehorn::jinja {

struct Macro;
struct Activation;

struct NamedValue {
  std::string_view name;
  Value value;
};

// The arguments of one call. A filter's or test's input is the first positional one.
struct Arguments {
  std::span<const Value> positional;
  std::span<const NamedValue> named;
};

using Builtin = Result<Value> (*)(Interpreter&, const Arguments&);
using Method = Result<Value> (*)(Interpreter&, const Value& self, const Arguments&);

struct BuiltinEntry {
  std::string_view name;
  Builtin function;
};

// One method of str, dict, list, tuple or loop. `forbidden`: the sandbox hides it, as it would
// change its object.
struct MethodEntry {
  std::string_view name;
  Method method;
  bool forbidden = false;
};

struct Callable {
  enum class Type : uint8_t { macro, function, method };
  Type type = Type::function;
  std::string_view name;
  const Macro* macro = nullptr;   // macro
  Activation* closure = nullptr;  // macro: the activation it was defined in
  Builtin function = nullptr;     // function
  Method method = nullptr;        // method
  Value self = {};                // method
};

std::string describe(const Callable& callable);  // as repr() would

// Sorted by name. Null: no such name.
const BuiltinEntry* find_filter(std::string_view name);
const BuiltinEntry* find_test(std::string_view name);
const BuiltinEntry* find_global(std::string_view name);
const MethodEntry* find_method(const Value& self, std::string_view name);

// Binds arguments to parameters as Python does; those not given stay Kind::missing.
Result<void> bind_arguments(std::string_view function, std::span<const char* const> parameters,
                            size_t required, const Arguments& arguments, std::span<Value> bound);

template <size_t N>
Result<std::array<Value, N>> bind(std::string_view function, const char* const (&parameters)[N],
                                  size_t required, const Arguments& arguments) {
  std::array<Value, N> bound{};
  TRY(bind_arguments(function, parameters, required, arguments, bound));
  return bound;
}

// Typed arguments: the fallback where missing (or None, for integers), an error of another type.
Result<int64_t> integer_or(std::string_view function, const char* parameter, const Value& value,
                           int64_t fallback);
bool boolean_or(const Value& value, bool fallback);
Result<std::string_view> required_text(std::string_view function, const char* parameter,
                                       const Value& value);

}  // namespace shoehorn::jinja
