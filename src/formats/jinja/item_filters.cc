// Filters that look at each item of a sequence: map, select, groups and pieces.
#include "formats/jinja/builtins.h"

namespace shoehorn::jinja {
namespace {

const Value* find_named(const Arguments& arguments, std::string_view name) {
  for (const NamedValue& named : arguments.named) {
    if (named.name == name) return &named.value;
  }
  return nullptr;
}

Result<Value> input_of(const char* name, const Arguments& arguments) {
  if (!arguments.positional.empty()) return arguments.positional[0];
  return fail("{}() missing required argument 'value'", name);
}

Result<Value> map_attribute(Interpreter& interpreter, std::span<const Value> items,
                            const Arguments& arguments) {
  const Value* path = find_named(arguments, "attribute");
  const Value* fallback = find_named(arguments, "default");
  if (arguments.named.size() != (fallback == nullptr ? 1u : 2u)) {
    return fail("map() got an unexpected keyword argument");
  }
  std::vector<Value> out;
  for (const Value& item : items) {
    out.push_back(TRY(follow_path(interpreter, item, *path, fallback ? *fallback : Value{})));
  }
  return interpreter.list(out, SequenceType::iterator);
}

Result<Value> map(Interpreter& interpreter, const Arguments& arguments) {
  const Value value = TRY(input_of("map", arguments));
  if (!truth(value)) return interpreter.list({}, SequenceType::iterator);
  const std::span<const Value> items = TRY(interpreter.iterate(value));
  const std::span<const Value> rest = arguments.positional.subspan(1);
  if (rest.empty() && find_named(arguments, "attribute") != nullptr) {
    return map_attribute(interpreter, items, arguments);
  }
  if (rest.empty()) return fail("map requires a filter argument");
  const std::string_view name = TRY(required_text("map", "filter", rest[0]));
  std::vector<Value> inputs(rest.begin(), rest.end());
  std::vector<Value> out;
  for (const Value& item : items) {
    inputs[0] = item;
    out.push_back(TRY(interpreter.filter(name, {.positional = inputs, .named = arguments.named})));
  }
  return interpreter.list(out, SequenceType::iterator);
}

struct Choice {
  const char* name;
  bool by_attribute;
  bool wanted;
};

Result<Value> choose(Interpreter& interpreter, const Choice& choice, const Arguments& arguments) {
  const Value value = TRY(input_of(choice.name, arguments));
  if (!truth(value)) return interpreter.list({}, SequenceType::iterator);
  const std::span<const Value> items = TRY(interpreter.iterate(value));
  std::span<const Value> rest = arguments.positional.subspan(1);
  Value path;
  if (choice.by_attribute) {
    if (rest.empty()) return fail("Missing parameter for attribute name");
    path = rest[0];
    rest = rest.subspan(1);
  }
  std::string_view test;
  if (!rest.empty()) test = TRY(required_text(choice.name, "test", rest[0]));
  std::vector<Value> inputs(rest.begin(), rest.end());
  std::vector<Value> out;
  for (const Value& item : items) {
    const Value subject = TRY(follow_path(interpreter, item, path));
    bool passes = truth(subject);
    if (!inputs.empty()) {
      inputs[0] = subject;
      passes = TRY(interpreter.test(test, {.positional = inputs, .named = arguments.named}));
    }
    if (passes == choice.wanted) out.push_back(item);
  }
  return interpreter.list(out, SequenceType::iterator);
}

Result<Value> select(Interpreter& interpreter, const Arguments& arguments) {
  return choose(interpreter, {"select", false, true}, arguments);
}
Result<Value> reject(Interpreter& interpreter, const Arguments& arguments) {
  return choose(interpreter, {"reject", false, false}, arguments);
}
Result<Value> select_attribute(Interpreter& interpreter, const Arguments& arguments) {
  return choose(interpreter, {"selectattr", true, true}, arguments);
}
Result<Value> reject_attribute(Interpreter& interpreter, const Arguments& arguments) {
  return choose(interpreter, {"rejectattr", true, false}, arguments);
}

Result<Value> attribute(Interpreter& interpreter, const Arguments& arguments) {
  const auto [object, name] = TRY(bind("attr", {"obj", "name"}, 2, arguments));
  const std::string_view text = TRY(required_text("attr", "name", name));
  if (object.kind != Kind::dict) return interpreter.attribute(object, text);
  const MethodEntry* entry = find_method(object, text);
  if (entry != nullptr && !entry->forbidden) return interpreter.method(object, *entry);
  return undefined(interpreter.arena(), Undefined::Cause::attribute, text, "dict object");
}

Result<Value> batch(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value, line_count, fill] =
      TRY(bind("batch", {"value", "linecount", "fill_with"}, 2, arguments));
  const int64_t count = TRY(integer_or("batch", "linecount", line_count, 1));
  const std::span<const Value> items = TRY(interpreter.iterate(value));
  if (count < 1 || count > static_cast<int64_t>(kMaximumItems)) {
    return fail("batch(): expected a linecount of 1 to {}, found {}", kMaximumItems, count);
  }
  const auto size = static_cast<size_t>(count);
  std::vector<Value> rows;
  for (size_t begin = 0; begin < items.size(); begin += size) {
    const std::span<const Value> part = items.subspan(begin, std::min(size, items.size() - begin));
    std::vector<Value> row(part.begin(), part.end());
    if (fill.present() && fill.kind != Kind::none) row.resize(size, fill);
    rows.push_back(TRY(interpreter.list(row)));
  }
  return interpreter.list(rows, SequenceType::iterator);
}

Result<Value> slice(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value, slices, fill] =
      TRY(bind("slice", {"value", "slices", "fill_with"}, 2, arguments));
  const int64_t count = TRY(integer_or("slice", "slices", slices, 1));
  const std::span<const Value> items = TRY(interpreter.iterate(value));
  if (count < 1 || count > static_cast<int64_t>(kMaximumItems)) {
    return fail("slice(): expected 1 to {} slices, found {}", kMaximumItems, count);
  }
  const size_t each = items.size() / static_cast<size_t>(count);
  const size_t longer = items.size() % static_cast<size_t>(count);
  std::vector<Value> columns;
  size_t begin = 0;
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    const size_t size = each + (i < longer ? 1 : 0);
    std::vector<Value> column(items.begin() + static_cast<std::ptrdiff_t>(begin),
                              items.begin() + static_cast<std::ptrdiff_t>(begin + size));
    begin += size;
    if (fill.present() && fill.kind != Kind::none && i >= longer) column.push_back(fill);
    columns.push_back(TRY(interpreter.list(column)));
  }
  return interpreter.list(columns, SequenceType::iterator);
}

Result<Value> group(Interpreter& interpreter, const Value& name, std::span<const Value> members) {
  const Value parts[] = { name, TRY(interpreter.list(members)) };
  return interpreter.list(parts, SequenceType::group);
}

Result<Value> group_by(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value, path, fallback, case_sensitive] =
      TRY(bind("groupby", {"value", "attribute", "default", "case_sensitive"}, 2, arguments));
  const std::span<const Value> items = TRY(interpreter.iterate(value));
  const bool exact = boolean_or(case_sensitive, false);
  std::vector<Value> names;
  std::vector<Value> keys;
  for (const Value& item : items) {
    names.push_back(TRY(follow_path(interpreter, item, path, fallback)));
    keys.push_back(exact ? names.back() : TRY(ignore_case(interpreter, names.back())));
  }
  const std::vector<size_t> order = TRY(sorted_order(interpreter, keys, false));
  std::vector<Value> groups;
  std::vector<Value> members;
  for (size_t i = 0; i < order.size(); ++i) {
    members.push_back(items[order[i]]);
    const bool ends = i + 1 == order.size() ||
                      !TRY(equal(interpreter.runtime(), keys[order[i]], keys[order[i + 1]]));
    if (!ends) continue;
    const size_t first_member = order[i + 1 - members.size()];
    groups.push_back(TRY(group(interpreter, names[first_member], members)));
    members.clear();
  }
  return interpreter.list(groups);
}

constexpr BuiltinEntry kFilters[] = {{"attr", attribute},   {"batch", batch},
                                     {"groupby", group_by}, {"map", map},
                                     {"reject", reject},    {"rejectattr", reject_attribute},
                                     {"select", select},    {"selectattr", select_attribute},
                                     {"slice", slice}};
static_assert(is_sorted_table(kFilters));

}  // namespace

std::span<const BuiltinEntry> item_filters() {
  return kFilters;
}

}  // namespace shoehorn::jinja
