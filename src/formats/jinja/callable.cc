#include "formats/jinja/callable.h"

#include <algorithm>

namespace shoehorn::jinja {

std::string describe(const Callable& callable) {
  switch (callable.type) {
    case Callable::Type::macro:
      return fmt::format("<Macro '{}'>", callable.name);
    case Callable::Type::function:
      return fmt::format("<function {}>", callable.name);
    case Callable::Type::method:
      break;
  }
  return fmt::format("<built-in method {} of {} object>", callable.name, type_name(callable.self));
}

Result<void> bind_arguments(std::string_view function, std::span<const char* const> parameters,
                            size_t required, const Arguments& arguments, std::span<Value> bound) {
  if (arguments.positional.size() > parameters.size()) {
    return fail("{}() takes at most {} arguments ({} given)", function, parameters.size(),
                arguments.positional.size());
  }
  std::copy(arguments.positional.begin(), arguments.positional.end(), bound.begin());
  for (const NamedValue& named : arguments.named) {
    const auto found = std::find(parameters.begin(), parameters.end(), named.name);
    if (found == parameters.end()) {
      return fail("{}() got an unexpected keyword argument '{}'", function, named.name);
    }
    Value& slot = bound[static_cast<size_t>(found - parameters.begin())];
    if (slot.present()) {
      return fail("{}() got multiple values for argument '{}'", function, named.name);
    }
    slot = named.value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!bound[i].present()) {
      return fail("{}() missing required argument '{}'", function, parameters[i]);
    }
  }
  return {};
}

Result<int64_t> integer_or(std::string_view function, const char* parameter, const Value& value,
                           int64_t fallback) {
  if (!value.present() || value.kind == Kind::none) return fallback;
  if (value.is_whole()) return value.as_integer();
  if (value.kind == Kind::undefined) return use_of_undefined(value);
  return fail("{}(): expected an int as '{}', found {}", function, parameter, type_name(value));
}

bool boolean_or(const Value& value, bool fallback) {
  return value.present() ? truth(value) : fallback;
}

Result<std::string_view> required_text(std::string_view function, const char* parameter,
                                       const Value& value) {
  if (value.kind == Kind::text) return value.view();
  if (value.kind == Kind::undefined) return use_of_undefined(value);
  return fail("{}(): expected a str as '{}', found {}", function, parameter, type_name(value));
}

}  // namespace shoehorn::jinja
