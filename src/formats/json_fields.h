// Typed reading of the fields of a JSON object in a model's files. Errors name the file, the field,
// what was expected and found; a field of null counts as absent, as in transformers.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace shoehorn {

// The object that `text` holds. Errors: no JSON, or no object at the top.
Result<nlohmann::json> parse_json_object(std::string_view text, std::string_view source);

// A value in a few words for a message: scalars as they are, "an array of 3", "an object".
std::string describe(const nlohmann::json& value);

class JsonFields {
 public:
  // `object` must outlive this. `source`: the file, and perhaps the field that holds the object.
  JsonFields(const nlohmann::json& object, std::string source)
      : object_(&object), source_(std::move(source)) {}

  const std::string& source() const { return source_; }
  const nlohmann::json& object() const { return *object_; }
  const nlohmann::json* find(std::string_view key) const;  // null: absent
  bool has(std::string_view key) const { return find(key) != nullptr; }

  Result<int64_t> required_integer(std::string_view key) const;
  Result<int64_t> integer_or(std::string_view key, int64_t fallback) const;
  Result<double> required_number(std::string_view key) const;
  Result<double> number_or(std::string_view key, double fallback) const;
  Result<bool> boolean_or(std::string_view key, bool fallback) const;
  Result<std::string> string_or(std::string_view key, std::string_view fallback) const;

  // The object under `key`; absent: an error.
  Result<JsonFields> required_object(std::string_view key) const;

  // Errors: a key that is not among `known`, for objects whose every field changes the computation.
  Result<void> only(std::initializer_list<std::string_view> known) const;

  // "source: key: expected E, found F".
  Error wrong(std::string_view key, std::string_view expected) const;

 private:
  const nlohmann::json* object_;
  std::string source_;
};

}  // namespace shoehorn
