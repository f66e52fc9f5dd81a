// What the files of filters, tests and methods share.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/jinja/interpreter.h"

namespace shoehorn::jinja {

// Looks a name up in a table sorted by name.
template <typename Entry>
const Entry* find_entry(std::span<const Entry> table, std::string_view name) {
  const auto found = std::lower_bound(
      table.begin(), table.end(), name,
      [](const Entry& entry, std::string_view wanted) { return entry.name < wanted; });
  return found != table.end() && found->name == name ? &*found : nullptr;
}
template <typename Entry, size_t N>
constexpr bool is_sorted_table(const Entry (&table)[N]) {
  for (size_t i = 1; i < N; ++i) {
    if (!(table[i - 1].name < table[i].name)) return false;
  }
  return true;
}

// The tables of the filter files.
std::span<const BuiltinEntry> text_filters();
std::span<const BuiltinEntry> number_filters();
std::span<const BuiltinEntry> sequence_filters();
std::span<const BuiltinEntry> item_filters();
std::span<const MethodEntry> text_methods();

// Methods of str that cut and pad (split_methods.cc).
Result<Value> center_text(Interpreter&, const Value& self, const Arguments&);
Result<Value> left_justify_text(Interpreter&, const Value& self, const Arguments&);
Result<Value> right_justify_text(Interpreter&, const Value& self, const Arguments&);
Result<Value> zero_fill_text(Interpreter&, const Value& self, const Arguments&);
Result<Value> partition_text(Interpreter&, const Value& self, const Arguments&);
Result<Value> right_partition_text(Interpreter&, const Value& self, const Arguments&);
Result<Value> split_text(Interpreter&, const Value& self, const Arguments&);
Result<Value> right_split_text(Interpreter&, const Value& self, const Arguments&);
Result<Value> split_text_lines(Interpreter&, const Value& self, const Arguments&);

// str(value) as a value; text stays what it is, marked or not.
Result<Value> as_text(Interpreter& interpreter, const Value& value);
// Text with the mark of another.
Result<Value> text_like(Interpreter& interpreter, const Value& model, std::string_view text);

// len(). Errors: values without a length.
Result<int64_t> length_of(Interpreter& interpreter, const Value& value);

// int(text, base) and float(text): nothing where Python raises ValueError. Errors: above 2^63.
Result<std::optional<int64_t>> parse_integer(std::string_view text, int64_t base);
std::optional<double> parse_real(std::string_view text);

// Strings in lower case, other values as they are.
Result<Value> ignore_case(Interpreter& interpreter, const Value& value);

// Getter of "a.b.0" as filters take it: a path of names and indices; missing or None: the item.
Result<Value> follow_path(Interpreter& interpreter, const Value& item, const Value& path,
                          const Value& fallback = {});

// The order that sorts `keys`, stable; as Python, reverse keeps equal keys in their order.
Result<std::vector<size_t>> sorted_order(Interpreter& interpreter, std::span<const Value> keys,
                                         bool reverse);

}  // namespace shoehorn::jinja
