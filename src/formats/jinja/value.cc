#include "formats/jinja/value.h"

#include <algorithm>
#include <cstring>

#include "formats/jinja/text.h"

namespace shoehorn::jinja {

Result<int64_t> characters_of(Runtime& runtime, const Text& text) {
  if (text.characters >= 0) return text.characters;
  TRY(runtime.charge_bytes(text.size));
  text.characters = count_characters(text.view());
  return text.characters;
}

Value text_value(const Text* text) {
  Value result{.kind = Kind::text};
  result.text = text;
  return result;
}

Value sequence_value(Sequence* sequence) {
  Value result{.kind = Kind::sequence};
  result.sequence = sequence;
  return result;
}

Value borrowed_text(Arena& arena, std::string_view view) {
  return text_value(arena.make<Text>(view.data(), view.size()));
}

Value copied_text(Arena& arena, std::string_view view) {
  char* data = static_cast<char*>(arena.allocate(view.size()));
  if (!view.empty()) std::memcpy(data, view.data(), view.size());
  return text_value(arena.make<Text>(data, view.size()));
}

Value concatenated_text(Arena& arena, const Text& left, std::string_view right) {
  const size_t size = left.size + right.size();
  TextBuffer* buffer = left.buffer;
  // `right` may lie in the same buffer: it ends at or before `used`, so the copy does not overlap.
  if (buffer != nullptr && left.data + left.size == buffer->data + buffer->used &&
      buffer->capacity - buffer->used >= right.size()) {
    if (!right.empty()) std::memcpy(buffer->data + buffer->used, right.data(), right.size());
    buffer->used += right.size();
    return text_value(arena.make<Text>(left.data, size, buffer));
  }
  constexpr size_t kWorthABuffer = 256;
  const size_t capacity = size < kWorthABuffer ? size : size * 2;
  char* data = static_cast<char*>(arena.allocate(capacity));
  if (left.size > 0) std::memcpy(data, left.data, left.size);
  if (!right.empty()) std::memcpy(data + left.size, right.data(), right.size());
  buffer = capacity == size ? nullptr : arena.make<TextBuffer>(data, size, capacity);
  return text_value(arena.make<Text>(data, size, buffer));
}

Value make_sequence(Arena& arena, SequenceType type, std::span<const Value> items) {
  Value* copies = arena.array<Value>(items.size());
  std::copy(items.begin(), items.end(), copies);
  return sequence_value(arena.make<Sequence>(type, std::span<const Value>(copies, items.size())));
}

Value make_dict(Arena& arena, size_t capacity) {
  Value result{.kind = Kind::dict};
  result.dict = arena.make<Dict>(arena.array<Dict::Entry>(capacity), size_t{0}, capacity);
  return result;
}

Value undefined(Arena& arena, Undefined::Cause cause, std::string_view name, const char* owner) {
  Value result{.kind = Kind::undefined};
  result.undefined = arena.make<Undefined>(cause, owner, name);
  return result;
}

Error use_of_undefined(const Value& value) {
  const Undefined& undefined = *value.undefined;
  switch (undefined.cause) {
    case Undefined::Cause::variable:
      return fail("'{}' is undefined", undefined.name);
    case Undefined::Cause::attribute:
      return fail("'{}' has no attribute '{}'", undefined.owner, undefined.name);
    case Undefined::Cause::element:
      return fail("{} has no element {}", undefined.owner, undefined.name);
    case Undefined::Cause::forbidden:
      return fail("access to attribute '{}' of '{}' object is unsafe", undefined.name,
                  undefined.owner);
    case Undefined::Cause::hint:
      break;
  }
  return fail("{}", undefined.name);
}

const char* type_name(const Value& value) {
  switch (value.kind) {
    case Kind::missing:
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::text:
      return value.markup ? "Markup" : "str";
    case Kind::dict:
      return "dict";
    case Kind::name_space:
      return "Namespace";
    case Kind::loop:
      return "LoopContext";
    case Kind::callable:
      return "function";
    case Kind::sequence:
      break;
  }
  constexpr const char* kNames[] = {"list",      "tuple",       "tuple",      "range",
                                    "dict_keys", "dict_values", "dict_items", "generator"};
  return kNames[static_cast<size_t>(value.sequence->type)];
}

const char* owner_name(const Value& value) {
  switch (value.kind) {
    case Kind::none:
      return "None";
    case Kind::dict:
      return "dict object";
    case Kind::text:
      return "str object";
    case Kind::integer:
      return "int object";
    case Kind::real:
      return "float object";
    case Kind::boolean:
      return "bool object";
    case Kind::sequence:
      return value.sequence->type == SequenceType::list ? "list object" : type_name(value);
    default:
      return type_name(value);
  }
}

bool truth(const Value& value) {
  switch (value.kind) {
    case Kind::missing:
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
      return value.boolean;
    case Kind::integer:
      return value.integer != 0;
    case Kind::real:
      return value.real != 0;
    case Kind::text:
      return value.text->size != 0;
    case Kind::sequence:
      return value.sequence->type == SequenceType::iterator || !value.sequence->items.empty();
    case Kind::dict:
      return value.dict->size != 0;
    default:
      return true;
  }
}

namespace {

Error unhashable(const Value& key) {
  return fail("unhashable type: '{}'", type_name(key));
}

// A key that Python can hash; tuples can where their items can.
Result<void> check_hashable(Runtime& runtime, const Value& key, int depth) {
  TRY(runtime.charge());
  if (key.kind == Kind::dict) return unhashable(key);
  if (key.kind != Kind::sequence) return {};
  const SequenceType type = key.sequence->type;
  if (type == SequenceType::list || type == SequenceType::dict_keys ||
      type == SequenceType::dict_items || depth > kMaximumDataDepth) {
    return unhashable(key);
  }
  if (type != SequenceType::tuple && type != SequenceType::group) return {};
  for (const Value& item : key.sequence->items) TRY(check_hashable(runtime, item, depth + 1));
  return {};
}

// Integers and reals compare exactly: 2^53 + 1 is not 2.0^53.
int order_numbers(const Value& left, const Value& right) {
  if (left.kind != Kind::real && right.kind != Kind::real) {
    const int64_t a = left.as_integer();
    const int64_t b = right.as_integer();
    return a < b ? -1 : a > b;
  }
  const long double a = left.kind == Kind::real ? left.real : left.as_integer();
  const long double b = right.kind == Kind::real ? right.real : right.as_integer();
  return a < b ? -1 : a > b;
}

bool is_nan(const Value& value) {
  return value.kind == Kind::real && value.real != value.real;
}

Result<bool> equal_sequences(Runtime& runtime, const Sequence& left, const Sequence& right,
                             int depth) {
  const bool same_type = left.type == right.type ||
                         (left.type == SequenceType::tuple && right.type == SequenceType::group) ||
                         (left.type == SequenceType::group && right.type == SequenceType::tuple);
  if (!same_type || left.type == SequenceType::iterator) return &left == &right;
  if (left.items.size() != right.items.size()) return false;
  for (size_t i = 0; i < left.items.size(); ++i) {
    if (!TRY(equal(runtime, left.items[i], right.items[i], depth + 1))) return false;
  }
  return true;
}

Result<bool> equal_dicts(Runtime& runtime, const Dict& left, const Dict& right, int depth) {
  if (left.size != right.size) return false;
  for (size_t i = 0; i < left.size; ++i) {
    const Value* other = TRY(find(runtime, right, left.entries[i].key));
    if (other == nullptr) return false;
    if (!TRY(equal(runtime, left.entries[i].value, *other, depth + 1))) return false;
  }
  return true;
}

}  // namespace

Result<bool> equal(Runtime& runtime, const Value& left, const Value& right, int depth) {
  TRY(runtime.charge());
  if (depth > kMaximumDataDepth) {
    return fail("expected data nested at most {} deep in a comparison, found more",
                kMaximumDataDepth);
  }
  if (left.is_number() && right.is_number()) {
    return !is_nan(left) && !is_nan(right) && order_numbers(left, right) == 0;
  }
  if (left.kind != right.kind) return false;
  switch (left.kind) {
    case Kind::text:
      TRY(runtime.charge_bytes(left.text->size));
      return left.view() == right.view();
    case Kind::sequence:
      return equal_sequences(runtime, *left.sequence, *right.sequence, depth);
    case Kind::dict:
      return equal_dicts(runtime, *left.dict, *right.dict, depth);
    case Kind::name_space:
      return left.name_space == right.name_space;
    case Kind::loop:
      return left.loop == right.loop;
    case Kind::callable:
      return left.callable == right.callable;
    default:
      return true;  // none, undefined
  }
}

Result<int> order(Runtime& runtime, const Value& left, const Value& right, const char* operation,
                  int depth) {
  TRY(runtime.charge());
  if (depth > kMaximumDataDepth) {
    return fail("expected data nested at most {} deep in a comparison, found more",
                kMaximumDataDepth);
  }
  if (left.kind == Kind::undefined) return use_of_undefined(left);
  if (right.kind == Kind::undefined) return use_of_undefined(right);
  if (left.is_number() && right.is_number()) return order_numbers(left, right);
  if (left.kind == Kind::text && right.kind == Kind::text) {
    TRY(runtime.charge_bytes(left.text->size));
    const int result = left.view().compare(right.view());  // code point order, as UTF-8 keeps it
    return result < 0 ? -1 : result > 0;
  }
  if (left.kind == Kind::sequence && right.kind == Kind::sequence &&
      left.sequence->type == right.sequence->type && left.sequence->type <= SequenceType::tuple) {
    const std::span<const Value> a = left.sequence->items;
    const std::span<const Value> b = right.sequence->items;
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      if (TRY(equal(runtime, a[i], b[i], depth + 1))) continue;
      return order(runtime, a[i], b[i], operation, depth + 1);
    }
    return a.size() < b.size() ? -1 : a.size() > b.size();
  }
  return fail("'{}' not supported between instances of '{}' and '{}'", operation, type_name(left),
              type_name(right));
}

const Value* find_text(const Dict& dict, std::string_view key) {
  for (size_t i = 0; i < dict.size; ++i) {
    const Dict::Entry& entry = dict.entries[i];
    if (entry.key.kind == Kind::text && entry.key.view() == key) return &entry.value;
  }
  return nullptr;
}

Result<const Value*> find(Runtime& runtime, const Dict& dict, const Value& key) {
  TRY(runtime.charge_items(dict.size));
  if (key.kind == Kind::text) return find_text(dict, key.view());
  TRY(check_hashable(runtime, key, 0));
  for (size_t i = 0; i < dict.size; ++i) {
    const Dict::Entry& entry = dict.entries[i];
    if (entry.key.kind == Kind::text) continue;
    if (TRY(equal(runtime, entry.key, key))) return &entry.value;
  }
  return static_cast<const Value*>(nullptr);
}

Result<void> insert(Runtime& runtime, Dict& dict, const Value& key, const Value& value) {
  const Value* present = TRY(find(runtime, dict, key));
  if (present != nullptr) {
    *const_cast<Value*>(present) = value;  // the dict is ours to change
    return {};
  }
  if (dict.size == kMaximumItems)
    return fail("expected at most {} entries in a dict", kMaximumItems);
  if (dict.size == dict.capacity) {
    const size_t capacity = std::max<size_t>(4, dict.capacity * 2);
    Dict::Entry* entries = runtime.arena().array<Dict::Entry>(capacity);
    std::copy(dict.entries, dict.entries + dict.size, entries);
    dict.entries = entries;
    dict.capacity = capacity;
  }
  dict.entries[dict.size++] = {key, value};
  return {};
}

}  // namespace shoehorn::jinja
