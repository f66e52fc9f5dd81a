// Methods of dicts, lists, tuples and loops, and the functions of the environment.
#include <array>
#include <ctime>

#include "formats/jinja/builtins.h"
#include "formats/jinja/print.h"

namespace shoehorn::jinja {
namespace {

constexpr int64_t kMaximumRange = 100'000;  // jinja2.sandbox.MAX_RANGE

Result<Value> dict_get(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const auto [key, fallback] = TRY(bind("get", {"key", "default"}, 1, arguments));
  const Value* found = TRY(find(interpreter.runtime(), *self.dict, key));
  if (found != nullptr) return *found;
  return fallback.present() ? fallback : none();
}

Result<void> no_arguments(const char* name, const Arguments& arguments) {
  if (arguments.positional.empty() && arguments.named.empty()) return {};
  return fail("{}() takes no arguments", name);
}

Result<Value> dict_keys(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  TRY(no_arguments("keys", arguments));
  const std::span<const Value> keys = TRY(interpreter.iterate(self));
  return interpreter.list(keys, SequenceType::dict_keys);
}

Result<Value> dict_values(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  TRY(no_arguments("values", arguments));
  std::vector<Value> values;
  for (size_t i = 0; i < self.dict->size; ++i) values.push_back(self.dict->entries[i].value);
  return interpreter.list(values, SequenceType::dict_values);
}

Result<Value> dict_items(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  TRY(no_arguments("items", arguments));
  const size_t size = self.dict->size;
  TRY(interpreter.runtime().charge_items(2 * size));
  Value* pairs = interpreter.arena().array<Value>(size);
  for (size_t i = 0; i < size; ++i) {
    const Value pair[] = {self.dict->entries[i].key, self.dict->entries[i].value};
    pairs[i] = make_sequence(interpreter.arena(), SequenceType::tuple, pair);
  }
  return sequence_value(interpreter.arena().make<Sequence>(SequenceType::dict_items,
                                                           std::span<const Value>(pairs, size)));
}

Result<Value> copy_dict(Interpreter& interpreter, const Dict& dict) {
  const Value result = make_dict(interpreter.arena(), dict.size);
  TRY(interpreter.runtime().charge_items(dict.size));
  std::copy(dict.entries, dict.entries + dict.size, result.dict->entries);
  result.dict->size = dict.size;
  return result;
}

Result<Value> dict_copy(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  TRY(no_arguments("copy", arguments));
  return copy_dict(interpreter, *self.dict);
}

Result<Value> list_copy(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  TRY(no_arguments("copy", arguments));
  return interpreter.list(self.sequence->items);
}

Result<Value> sequence_count(Interpreter& interpreter, const Value& self,
                             const Arguments& arguments) {
  const auto [value] = TRY(bind("count", {"value"}, 1, arguments));
  int64_t count = 0;
  for (const Value& item : self.sequence->items) {
    if (TRY(equal(interpreter.runtime(), item, value))) ++count;
  }
  return integer(count);
}

Result<Value> sequence_index(Interpreter& interpreter, const Value& self,
                             const Arguments& arguments) {
  const auto [value, start, stop] = TRY(bind("index", {"value", "start", "stop"}, 1, arguments));
  const std::span<const Value> items = self.sequence->items;
  const auto size = static_cast<int64_t>(items.size());
  int64_t at = TRY(integer_or("index", "start", start, 0));
  int64_t end = TRY(integer_or("index", "stop", stop, size));
  at = std::max<int64_t>(at < 0 ? at + size : at, 0);
  end = std::min(end < 0 ? end + size : end, size);
  for (; at < end; ++at) {
    if (TRY(equal(interpreter.runtime(), items[static_cast<size_t>(at)], value))) {
      return integer(at);
    }
  }
  std::string shown;
  TRY(append_repr(interpreter.runtime(), shown, value));
  return fail("{} is not in {}", shown, type_name(self));
}

Result<Value> loop_cycle(Interpreter&, const Value& self, const Arguments& arguments) {
  if (!arguments.named.empty()) return fail("cycle() takes no keyword arguments");
  if (arguments.positional.empty()) return fail("no items for cycling given");
  const auto index = static_cast<size_t>(self.loop->index0);
  return arguments.positional[index % arguments.positional.size()];
}

Result<Value> loop_changed(Interpreter& interpreter, const Value& self,
                           const Arguments& arguments) {
  if (!arguments.named.empty()) return fail("changed() takes no keyword arguments");
  const Value now = TRY(interpreter.list(arguments.positional, SequenceType::tuple));
  Value& before = self.loop->last_changed;
  if (before.present() && TRY(equal(interpreter.runtime(), before, now))) return boolean(false);
  before = now;
  return boolean(true);
}

// Forbidden are those that jinja2's immutable sandbox hides; null: known to Python, not to us.
constexpr MethodEntry kDictMethods[] = {
    {"clear", nullptr, true},  {"copy", dict_copy},        {"fromkeys", nullptr},
    {"get", dict_get},         {"items", dict_items},      {"keys", dict_keys},
    {"pop", nullptr, true},    {"popitem", nullptr, true}, {"setdefault", nullptr, true},
    {"update", nullptr, true}, {"values", dict_values}};
constexpr MethodEntry kListMethods[] = {
    {"append", nullptr, true},  {"clear", nullptr, true},  {"copy", list_copy},
    {"count", sequence_count},  {"extend", nullptr, true}, {"index", sequence_index},
    {"insert", nullptr, true},  {"pop", nullptr, true},    {"remove", nullptr, true},
    {"reverse", nullptr, true}, {"sort", nullptr, true}};
constexpr MethodEntry kTupleMethods[] = {{"count", sequence_count}, {"index", sequence_index}};
constexpr MethodEntry kLoopMethods[] = {{"changed", loop_changed}, {"cycle", loop_cycle}};
static_assert(is_sorted_table(kDictMethods) && is_sorted_table(kListMethods) &&
              is_sorted_table(kTupleMethods) && is_sorted_table(kLoopMethods));

Result<Value> range(Interpreter& interpreter, const Arguments& arguments) {
  if (!arguments.named.empty()) return fail("range() takes no keyword arguments");
  const size_t given = arguments.positional.size();
  if (given < 1 || given > 3) return fail("range expected 1 to 3 arguments, got {}", given);
  std::array<int64_t, 3> numbers = {0, 0, 1};
  for (size_t i = 0; i < given; ++i) {
    const Value& value = arguments.positional[i];
    if (value.kind == Kind::undefined) return use_of_undefined(value);
    if (!value.is_whole()) {
      return fail("'{}' object cannot be interpreted as an integer", type_name(value));
    }
    numbers[given == 1 ? 1 : i] = value.as_integer();
  }
  const auto [start, stop, step] = numbers;
  if (step == 0) return fail("range() arg 3 must not be zero");
  const __int128 distance =
      step > 0 ? static_cast<__int128>(stop) - start : static_cast<__int128>(start) - stop;
  const __int128 stride = step > 0 ? static_cast<__int128>(step) : -static_cast<__int128>(step);
  const __int128 count = distance <= 0 ? 0 : (distance + stride - 1) / stride;
  if (count > kMaximumRange) {
    return fail("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({})",
                kMaximumRange);
  }
  std::vector<Value> items;
  for (int64_t i = 0; i < static_cast<int64_t>(count); ++i)
    items.push_back(integer(start + i * step));
  const Value result = TRY(interpreter.list(items, SequenceType::range));
  std::copy(numbers.begin(), numbers.end(), result.sequence->range);
  return result;
}

// dict(mapping or pairs, **named)
Result<Value> make_dict_from(Interpreter& interpreter, const Arguments& arguments) {
  if (arguments.positional.size() > 1) {
    return fail("dict expected at most 1 argument, got {}", arguments.positional.size());
  }
  Value result = make_dict(interpreter.arena(), arguments.named.size());
  if (!arguments.positional.empty() && arguments.positional[0].kind == Kind::dict) {
    result = TRY(copy_dict(interpreter, *arguments.positional[0].dict));
  } else if (!arguments.positional.empty()) {
    const std::span<const Value> pairs = TRY(interpreter.iterate(arguments.positional[0]));
    for (const Value& pair : pairs) {
      const std::span<const Value> parts = TRY(interpreter.iterate(pair));
      if (parts.size() != 2) {
        return fail("dict(): expected pairs, found {} values", parts.size());
      }
      TRY(insert(interpreter.runtime(), *result.dict, parts[0], parts[1]));
    }
  }
  for (const NamedValue& named : arguments.named) {
    const Value key = borrowed_text(interpreter.arena(), named.name);
    TRY(insert(interpreter.runtime(), *result.dict, key, named.value));
  }
  return result;
}

Result<Value> make_namespace(Interpreter& interpreter, const Arguments& arguments) {
  const Value attributes = TRY(make_dict_from(interpreter, arguments));
  for (size_t i = 0; i < attributes.dict->size; ++i) {
    const Value& key = attributes.dict->entries[i].key;
    if (key.kind == Kind::text && key.view().substr(0, 1) == "_") {
      return fail("namespace(): expected names that do not start with an underscore, found '{}'",
                  key.view());
    }
  }
  Value result{.kind = Kind::name_space};
  result.name_space = interpreter.arena().make<Namespace>(*attributes.dict);
  return result;
}

Result<Value> raise_exception(Interpreter& interpreter, const Arguments& arguments) {
  const auto [message] = TRY(bind("raise_exception", {"message"}, 1, arguments));
  const std::string text = TRY(interpreter.to_string(message));
  return fail("the template refuses the conversation: {}", text);
}

// transformers: datetime.now().strftime(format), local time.
Result<Value> strftime_now(Interpreter& interpreter, const Arguments& arguments) {
  const auto [format] = TRY(bind("strftime_now", {"format"}, 1, arguments));
  const std::string pattern(TRY(required_text("strftime_now", "format", format)));
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::array<char, 1024> buffer{};
  const size_t size = std::strftime(buffer.data(), buffer.size(), pattern.c_str(), &local);
  return interpreter.text({buffer.data(), size});
}

constexpr BuiltinEntry kGlobals[] = {{"dict", make_dict_from},
                                     {"namespace", make_namespace},
                                     {"raise_exception", raise_exception},
                                     {"range", range},
                                     {"strftime_now", strftime_now}};
static_assert(is_sorted_table(kGlobals));

}  // namespace

const BuiltinEntry* find_global(std::string_view name) {
  return find_entry<BuiltinEntry>(kGlobals, name);
}

const MethodEntry* find_method(const Value& self, std::string_view name) {
  switch (self.kind) {
    case Kind::text:
      return find_entry<MethodEntry>(text_methods(), name);
    case Kind::dict:
      return find_entry<MethodEntry>(kDictMethods, name);
    case Kind::loop:
      return find_entry<MethodEntry>(kLoopMethods, name);
    case Kind::sequence:
      if (self.sequence->type == SequenceType::list) {
        return find_entry<MethodEntry>(kListMethods, name);
      }
      if (self.sequence->indexable()) return find_entry<MethodEntry>(kTupleMethods, name);
      return nullptr;
    default:
      return nullptr;
  }
}

}  // namespace shoehorn::jinja
