// Filters of whole sequences.
#include "formats/jinja/builtins.h"
#include "formats/jinja/print.h"
#include "formats/jinja/text.h"

namespace shoehorn::jinja {
namespace {

Result<Value> length(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value] = TRY(bind("len", {"obj"}, 1, arguments));
  return integer(TRY(length_of(interpreter, value)));
}

Result<Value> join(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value, separator, attribute] =
      TRY(bind("join", {"value", "d", "attribute"}, 1, arguments));
  std::string between;
  if (separator.present()) between = TRY(interpreter.to_string(separator));
  const std::span<const Value> items = TRY(interpreter.iterate(value));
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += between;
    const Value item = TRY(follow_path(interpreter, items[i], attribute));
    TRY(append_string(interpreter.runtime(), out, item));
  }
  return interpreter.text(out);
}

Result<Value> to_list(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value] = TRY(bind("list", {"value"}, 1, arguments));
  const std::span<const Value> items = TRY(interpreter.iterate(value));
  return interpreter.list(items);
}

Result<Value> first(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value] = TRY(bind("first", {"seq"}, 1, arguments));
  if (value.kind == Kind::sequence && value.sequence->type == SequenceType::iterator) {
    Sequence& sequence = *value.sequence;
    if (sequence.position < sequence.items.size()) return sequence.items[sequence.position++];
  } else {
    const std::span<const Value> items = TRY(interpreter.iterate(value));
    if (!items.empty()) return items.front();
  }
  return undefined(interpreter.arena(), Undefined::Cause::hint,
                   "No first item, sequence was empty.");
}

bool is_iterator(const Value& value) {
  return value.kind == Kind::sequence && value.sequence->type == SequenceType::iterator;
}

Result<Value> last(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value] = TRY(bind("last", {"seq"}, 1, arguments));
  if (is_iterator(value)) return fail("'generator' object is not reversible");
  const std::span<const Value> items = TRY(interpreter.iterate(value));
  if (!items.empty()) return items.back();
  return undefined(interpreter.arena(), Undefined::Cause::hint,
                   "No last item, sequence was empty.");
}

Result<Value> reverse(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value] = TRY(bind("reverse", {"value"}, 1, arguments));
  if (value.kind == Kind::text) {
    const Value bounds[3] = {none(), none(), integer(-1)};
    return interpreter.slice(value, bounds);
  }
  const std::span<const Value> items = TRY(interpreter.iterate(value));
  std::vector<Value> reversed(items.rbegin(), items.rend());
  return interpreter.list(reversed,
                          is_iterator(value) ? SequenceType::list : SequenceType::iterator);
}

Result<Value> items(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value] = TRY(bind("items", {"value"}, 1, arguments));
  if (value.kind == Kind::undefined) return interpreter.list({}, SequenceType::iterator);
  if (value.kind != Kind::dict) return fail("Can only get item pairs from a mapping.");
  std::vector<Value> pairs;
  for (size_t i = 0; i < value.dict->size; ++i) {
    const Value pair[] = {value.dict->entries[i].key, value.dict->entries[i].value};
    pairs.push_back(TRY(interpreter.list(pair, SequenceType::tuple)));
  }
  return interpreter.list(pairs, SequenceType::iterator);
}

Result<Value> dict_sort(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value, case_sensitive, by, reversed] =
      TRY(bind("dictsort", {"value", "case_sensitive", "by", "reverse"}, 1, arguments));
  if (value.kind == Kind::undefined) return use_of_undefined(value);
  if (value.kind != Kind::dict) {
    return fail("'{}' object has no attribute 'items'", type_name(value));
  }
  std::string_view what = "key";
  if (by.present()) what = TRY(required_text("dictsort", "by", by));
  if (what != "key" && what != "value")
    return fail("You can only sort by either \"key\" or \"value\"");
  std::vector<Value> keys;
  for (size_t i = 0; i < value.dict->size; ++i) {
    const Dict::Entry& entry = value.dict->entries[i];
    const Value& key = what == "key" ? entry.key : entry.value;
    keys.push_back(boolean_or(case_sensitive, false) ? key : TRY(ignore_case(interpreter, key)));
  }
  const std::vector<size_t> order =
      TRY(sorted_order(interpreter, keys, boolean_or(reversed, false)));
  std::vector<Value> pairs;
  for (const size_t i : order) {
    const Value pair[] = {value.dict->entries[i].key, value.dict->entries[i].value};
    pairs.push_back(TRY(interpreter.list(pair, SequenceType::tuple)));
  }
  return interpreter.list(pairs);
}

Result<Value> sort(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value, reversed, case_sensitive, attribute] =
      TRY(bind("sort", {"value", "reverse", "case_sensitive", "attribute"}, 1, arguments));
  const std::span<const Value> all = TRY(interpreter.iterate(value));
  std::vector<Value> paths;  // "a,b" sorts by a, then by b
  if (attribute.kind == Kind::text) {
    std::string_view rest = attribute.view();
    while (true) {
      const size_t comma = rest.find(',');
      paths.push_back(borrowed_text(interpreter.arena(), rest.substr(0, comma)));
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  } else {
    paths.push_back(attribute);
  }
  std::vector<Value> keys;
  for (const Value& item : all) {
    std::vector<Value> parts;
    for (const Value& path : paths) {
      const Value part = TRY(follow_path(interpreter, item, path));
      parts.push_back(boolean_or(case_sensitive, false) ? part
                                                        : TRY(ignore_case(interpreter, part)));
    }
    keys.push_back(TRY(interpreter.list(parts)));
  }
  const std::vector<size_t> order =
      TRY(sorted_order(interpreter, keys, boolean_or(reversed, false)));
  std::vector<Value> sorted;
  for (const size_t i : order) sorted.push_back(all[i]);
  return interpreter.list(sorted);
}

Result<Value> unique(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value, case_sensitive, attribute] =
      TRY(bind("unique", {"value", "case_sensitive", "attribute"}, 1, arguments));
  const std::span<const Value> all = TRY(interpreter.iterate(value));
  const Value seen = make_dict(interpreter.arena(), 0);
  std::vector<Value> kept;
  for (const Value& item : all) {
    Value key = TRY(follow_path(interpreter, item, attribute));
    if (!boolean_or(case_sensitive, false)) key = TRY(ignore_case(interpreter, key));
    const size_t before = seen.dict->size;
    TRY(insert(interpreter.runtime(), *seen.dict, key, none()));
    if (seen.dict->size > before) kept.push_back(item);
  }
  return interpreter.list(kept, SequenceType::iterator);
}

Result<Value> extreme(Interpreter& interpreter, const char* name, const Arguments& arguments,
                      int sign) {
  const auto [value, case_sensitive, attribute] =
      TRY(bind(name, {"value", "case_sensitive", "attribute"}, 1, arguments));
  const std::span<const Value> all = TRY(interpreter.iterate(value));
  if (all.empty()) {
    return undefined(interpreter.arena(), Undefined::Cause::hint,
                     "No aggregated item, sequence was empty.");
  }
  Value best;
  Value best_key;
  for (const Value& item : all) {
    Value key = TRY(follow_path(interpreter, item, attribute));
    if (!boolean_or(case_sensitive, false)) key = TRY(ignore_case(interpreter, key));
    if (best.present()) {
      const char* symbol = sign < 0 ? "<" : ">";
      if (TRY(order(interpreter.runtime(), key, best_key, symbol)) * sign <= 0) continue;
    }
    best = item;
    best_key = key;
  }
  return best;
}

Result<Value> minimum(Interpreter& interpreter, const Arguments& arguments) {
  return extreme(interpreter, "min", arguments, -1);
}
Result<Value> maximum(Interpreter& interpreter, const Arguments& arguments) {
  return extreme(interpreter, "max", arguments, 1);
}

Result<Value> sum(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value, attribute, start] =
      TRY(bind("sum", {"iterable", "attribute", "start"}, 1, arguments));
  Value total = start.present() ? start : integer(0);
  if (total.kind == Kind::text) return fail("sum() can't sum strings [use ''.join(seq) instead]");
  const std::span<const Value> all = TRY(interpreter.iterate(value));
  for (const Value& item : all) {
    const Value part = TRY(follow_path(interpreter, item, attribute));
    total = TRY(interpreter.binary(Operator::add, total, part));
  }
  return total;
}

constexpr BuiltinEntry kFilters[] = {{"count", length},  {"dictsort", dict_sort}, {"first", first},
                                     {"items", items},   {"join", join},          {"last", last},
                                     {"length", length}, {"list", to_list},       {"max", maximum},
                                     {"min", minimum},   {"reverse", reverse},    {"sort", sort},
                                     {"sum", sum},       {"unique", unique}};
static_assert(is_sorted_table(kFilters));

}  // namespace

std::span<const BuiltinEntry> sequence_filters() {
  return kFilters;
}

}  // namespace shoehorn::jinja
