// Values of the template language: Python's, as far as templates see them. 16 bytes, copied freely;
// what they point to lives in an Arena and, namespaces and iterators apart, never changes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/jinja/runtime.h"

namespace shoehorn::jinja {

class Interpreter;
struct Dict;
struct Namespace;
struct Sequence;
struct Loop;
struct Callable;

// A tail of the arena that the string which ends it can be appended to without a copy, which keeps
// `text = text + more` in a loop linear.
struct TextBuffer {
  char* data = nullptr;
  size_t used = 0;
  size_t capacity = 0;
};

// UTF-8; bytes that are not count as one character each.
struct Text {
  const char* data = nullptr;
  size_t size = 0;
  TextBuffer* buffer = nullptr;     // null: exactly sized, or borrowed
  mutable int64_t characters = -1;  // -1: not counted yet, see characters_of()

  std::string_view view() const { return {data, size}; }
};

// Why a value is undefined, for the message when it is used.
struct Undefined {
  enum class Cause : uint8_t { variable, attribute, element, forbidden, hint };
  Cause cause = Cause::hint;
  const char* owner = "";      // the type that lacks the attribute
  std::string_view name = {};  // variable, attribute, or the whole hint
};

enum class Kind : uint8_t {
  missing,  // no value at all: an argument not given, a variable not set
  undefined,
  none,
  boolean,
  integer,
  real,
  text,
  sequence,
  dict,
  name_space,
  loop,
  callable
};

struct Value {
  Kind kind = Kind::missing;
  bool markup = false;  // text marked safe, which escapes what is added to it (markupsafe)
  union {
    int64_t integer = 0;
    double real;
    bool boolean;
    const Text* text;
    const Undefined* undefined;
    Sequence* sequence;
    Dict* dict;
    Namespace* name_space;
    Loop* loop;
    const Callable* callable;
  };

  bool is(Kind other) const { return kind == other; }
  bool present() const { return kind != Kind::missing; }
  bool is_number() const {
    return kind == Kind::integer || kind == Kind::real || kind == Kind::boolean;
  }
  bool is_whole() const { return kind == Kind::integer || kind == Kind::boolean; }
  int64_t as_integer() const { return kind == Kind::boolean ? int64_t{boolean} : integer; }
  double as_real() const { return kind == Kind::real ? real : static_cast<double>(as_integer()); }
  std::string_view view() const { return text->view(); }  // REQUIRES: text
};

enum class SequenceType : uint8_t {
  list,
  tuple,
  group,  // a tuple whose items are also .grouper and .list
  range,
  dict_keys,
  dict_values,
  dict_items,
  iterator  // a generator: read once, has no length
};

struct Sequence {
  SequenceType type = SequenceType::list;
  std::span<const Value> items;
  size_t position = 0;           // iterator: the next item
  int64_t range[3] = {0, 0, 1};  // range: start, stop, step, for printing

  bool indexable() const { return type <= SequenceType::range; }
};

struct Dict {
  struct Entry {
    Value key;
    Value value;
  };
  Entry* entries = nullptr;
  size_t size = 0;
  size_t capacity = 0;
};

struct Namespace {
  Dict attributes;
};

// Makers.
inline Value none() {
  return {.kind = Kind::none};
}
inline Value boolean(bool value) {
  Value result{.kind = Kind::boolean};
  result.boolean = value;
  return result;
}
inline Value integer(int64_t value) {
  return {.kind = Kind::integer, .integer = value};
}
inline Value real(double value) {
  Value result{.kind = Kind::real};
  result.real = value;
  return result;
}
Value text_value(const Text* text);
Value sequence_value(Sequence* sequence);
Value borrowed_text(Arena& arena, std::string_view view);  // `view` outlives the arena's values
Value copied_text(Arena& arena, std::string_view view);
Value concatenated_text(Arena& arena, const Text& left, std::string_view right);
// Its length as Python counts, kept once counted.
Result<int64_t> characters_of(Runtime& runtime, const Text& text);
Value make_sequence(Arena& arena, SequenceType type, std::span<const Value> items);  // copies
Value make_dict(Arena& arena, size_t capacity);
Value undefined(Arena& arena, Undefined::Cause cause, std::string_view name,
                const char* owner = "");
Error use_of_undefined(const Value& value);  // "'x' is undefined"

// The type's name as Python gives it: "str", "NoneType", "dict".
const char* type_name(const Value& value);
// As Jinja names the owner in "'dict object' has no attribute": the same, None apart.
const char* owner_name(const Value& value);

bool truth(const Value& value);

// Equality and order of Python. They take the runtime because shared lists make them exponential.
Result<bool> equal(Runtime& runtime, const Value& left, const Value& right, int depth = 0);
// <0, 0, >0. Errors where Python refuses: "'<' not supported between instances of 'int' and 'str'".
Result<int> order(Runtime& runtime, const Value& left, const Value& right, const char* operation,
                  int depth = 0);

// Dict access. Errors: keys that Python cannot hash.
Result<const Value*> find(Runtime& runtime, const Dict& dict, const Value& key);
const Value* find_text(const Dict& dict, std::string_view key);
Result<void> insert(Runtime& runtime, Dict& dict, const Value& key, const Value& value);

}  // namespace shoehorn::jinja
