#include "formats/json_fields.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "formats/quote.h"

namespace shoehorn {

using nlohmann::json;

Result<json> parse_json_object(std::string_view text, std::string_view source) {
  json value = json::parse(text, nullptr, false);
  if (value.is_discarded()) return fail("{}: expected JSON, found text that is not", source);
  if (!value.is_object()) {
    return fail("{}: expected a JSON object, found {}", source, describe(value));
  }
  return value;
}

std::string describe(const json& value) {
  if (value.is_array()) return fmt::format("an array of {}", value.size());
  if (value.is_object()) return "an object";
  if (const auto* text = value.get_ptr<const std::string*>()) return quote(*text);
  return value.dump();
}

const json* JsonFields::find(std::string_view key) const {
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

Error JsonFields::wrong(std::string_view key, std::string_view expected) const {
  const json* value = find(key);
  return fail("{}: {}: expected {}, found {}", source_, key, expected,
              value ? describe(*value) : "no such field");
}

Result<int64_t> JsonFields::required_integer(std::string_view key) const {
  const json* value = find(key);
  const bool fits = value != nullptr && value->is_number_integer() &&
                    (!value->is_number_unsigned() ||
                     value->get<uint64_t>() <= std::numeric_limits<int64_t>::max());
  if (!fits) return wrong(key, "an integer");
  return value->get<int64_t>();
}

Result<int64_t> JsonFields::integer_or(std::string_view key, int64_t fallback) const {
  if (!has(key)) return fallback;
  return required_integer(key);
}

Result<double> JsonFields::required_number(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr || !value->is_number() || !std::isfinite(value->get<double>())) {
    return wrong(key, "a number");
  }
  return value->get<double>();
}

Result<double> JsonFields::number_or(std::string_view key, double fallback) const {
  if (!has(key)) return fallback;
  return required_number(key);
}

Result<bool> JsonFields::boolean_or(std::string_view key, bool fallback) const {
  const json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) return wrong(key, "true or false");
  return value->get<bool>();
}

Result<std::string> JsonFields::string_or(std::string_view key, std::string_view fallback) const {
  const json* value = find(key);
  if (value == nullptr) return std::string(fallback);
  const auto* text = value->get_ptr<const std::string*>();
  if (text == nullptr) return wrong(key, "a string");
  return *text;
}

Result<JsonFields> JsonFields::required_object(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr || !value->is_object()) return wrong(key, "an object");
  return JsonFields(*value, fmt::format("{}: {}", source_, key));
}

Result<void> JsonFields::only(std::initializer_list<std::string_view> known) const {
  for (const auto& [key, value] : object_->items()) {
    if (value.is_null() || std::find(known.begin(), known.end(), key) != known.end()) continue;
    return fail("{}: {}: expected none, as this field is not supported, found {}", source_,
                quote(key), describe(value));
  }
  return {};
}

}  // namespace shoehorn
