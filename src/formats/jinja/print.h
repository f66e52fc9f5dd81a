// Values as text: str() and repr() as Python prints them, and json.dumps.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/jinja/value.h"

namespace shoehorn::jinja {

std::string format_real(double value);  // repr of a float: shortest digits that read back

// str(value) appended. Errors: more than kMaximumTextBytes, or nested too deeply.
Result<void> append_string(Runtime& runtime, std::string& out, const Value& value);
Result<void> append_repr(Runtime& runtime, std::string& out, const Value& value);

struct JsonOptions {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool indented = false;
  std::string indent;  // one level
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
Result<void> append_json(Runtime& runtime, std::string& out, const Value& value,
                         const JsonOptions& options);

}  // namespace shoehorn::jinja
