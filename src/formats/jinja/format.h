// Python's two ways to format: "%s" % values and "{}".format(values).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/jinja/interpreter.h"

namespace shoehorn::jinja {

// `values`: a tuple of them, a dict for %(name)s, or a single one.
Result<std::string> format_percent(Interpreter& interpreter, std::string_view format,
                                   const Value& values);

Result<std::string> format_braces(Interpreter& interpreter, std::string_view format,
                                  const Arguments& arguments);

}  // namespace shoehorn::jinja
