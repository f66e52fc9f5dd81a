// Methods of str, with Python's names, parameters and results.
#include <limits>

#include "formats/jinja/builtins.h"
#include "formats/jinja/format.h"
#include "formats/jinja/text.h"

namespace shoehorn::jinja {
namespace {

Result<Value> part_of(Interpreter& interpreter, const Value& self, std::string_view part) {
  Value result = borrowed_text(interpreter.arena(), part);
  result.markup = self.markup;
  return result;
}

Result<void> no_arguments(const char* name, const Arguments& arguments) {
  if (arguments.positional.empty() && arguments.named.empty()) return {};
  return fail("{}() takes no arguments", name);
}

template <Case to>
Result<Value> to_case(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  TRY(no_arguments("str method", arguments));
  return text_like(interpreter, self, change_case(self.view(), to));
}

template <CharacterClass wanted>
Result<Value> all_in_class(Interpreter& interpreter, const Value& self,
                           const Arguments& arguments) {
  TRY(no_arguments("str method", arguments));
  TRY(interpreter.runtime().charge_bytes(self.text->size));
  return boolean(all_of_class(self.view(), wanted));
}

template <bool upper>
Result<Value> cased(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  TRY(no_arguments("str method", arguments));
  TRY(interpreter.runtime().charge_bytes(self.text->size));
  return boolean(is_cased(self.view(), upper));
}

Result<Value> stripped(Interpreter& interpreter, const Value& self, const Arguments& arguments,
                       Sides sides) {
  const auto [characters] = TRY(bind("strip", {"chars"}, 0, arguments));
  std::string_view kept;
  if (!characters.present() || characters.kind == Kind::none) {
    kept = strip_space(self.view(), sides);
  } else {
    const std::string_view set = TRY(required_text("strip", "chars", characters));
    kept = strip_any(self.view(), set, sides);
  }
  TRY(interpreter.runtime().charge_bytes(self.text->size - kept.size()));
  return part_of(interpreter, self, kept);
}
Result<Value> strip(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return stripped(interpreter, self, arguments, {});
}
Result<Value> lstrip(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return stripped(interpreter, self, arguments, {.left = true, .right = false});
}
Result<Value> rstrip(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return stripped(interpreter, self, arguments, {.left = false, .right = true});
}

// The part of a text between optional start and end, and where it begins, in characters.
struct Window {
  std::string_view text;
  int64_t start = 0;
  bool valid = true;  // start is not behind the end of the text
};

Result<Window> window(Interpreter& interpreter, const Value& self, const Value& start,
                      const Value& end) {
  const bool whole = !start.present() && !end.present();
  if (whole) return Window{self.view()};
  TRY(interpreter.runtime().charge_bytes(self.text->size));
  const int64_t length = TRY(characters_of(interpreter.runtime(), *self.text));
  int64_t from = TRY(integer_or("str method", "start", start, 0));
  int64_t to = TRY(integer_or("str method", "end", end, length));
  from = std::max<int64_t>(from < 0 ? from + length : from, 0);
  to = std::min(to < 0 ? std::max<int64_t>(to + length, 0) : to, length);
  if (from > to) return Window{{}, from, false};
  const std::string_view text = self.view();
  const size_t begin = offset_of(text, from);
  return Window{text.substr(begin, offset_of(text.substr(begin), to - from)), from, true};
}

// The character position of `sub`, -1 where it is not found.
Result<int64_t> position(Interpreter& interpreter, const char* name, const Value& self,
                         const Arguments& arguments, bool from_right) {
  const auto [sub, start, end] = TRY(bind(name, {"sub", "start", "end"}, 1, arguments));
  const std::string_view wanted = TRY(required_text(name, "sub", sub));
  TRY(interpreter.runtime().charge_bytes(self.text->size));
  const Window part = TRY(window(interpreter, self, start, end));
  if (!part.valid) return -1;
  if (from_right) {  // a backward search compares at every place
    TRY(interpreter.runtime().charge_bytes(part.text.size() * (wanted.size() / 64)));
  }
  const size_t at = from_right ? part.text.rfind(wanted) : find_part(part.text, wanted);
  if (at == std::string_view::npos) return -1;
  return part.start + count_characters(part.text.substr(0, at));
}

Result<Value> find(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return integer(TRY(position(interpreter, "find", self, arguments, false)));
}
Result<Value> rfind(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return integer(TRY(position(interpreter, "rfind", self, arguments, true)));
}
Result<Value> index(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const int64_t at = TRY(position(interpreter, "index", self, arguments, false));
  if (at < 0) return fail("substring not found");
  return integer(at);
}
Result<Value> rindex(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const int64_t at = TRY(position(interpreter, "rindex", self, arguments, true));
  if (at < 0) return fail("substring not found");
  return integer(at);
}

int64_t count_parts(std::string_view text, std::string_view part) {
  if (part.empty()) return count_characters(text) + 1;
  int64_t count = 0;
  for (size_t at = 0; (at = find_part(text, part, at)) != std::string_view::npos;
       at += part.size()) {
    ++count;
  }
  return count;
}

Result<Value> count(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const auto [sub, start, end] = TRY(bind("count", {"sub", "start", "end"}, 1, arguments));
  const std::string_view wanted = TRY(required_text("count", "sub", sub));
  TRY(interpreter.runtime().charge_bytes(self.text->size));
  const Window part = TRY(window(interpreter, self, start, end));
  return integer(part.valid ? count_parts(part.text, wanted) : 0);
}

bool has_edge(std::string_view text, std::string_view part, bool at_end) {
  return at_end ? text.size() >= part.size() && text.substr(text.size() - part.size()) == part
                : text.substr(0, part.size()) == part;
}

Result<Value> edge(Interpreter& interpreter, const char* name, const Value& self,
                   const Arguments& arguments, bool at_end) {
  const auto [wanted, start, end] = TRY(bind(name, {"prefix", "start", "end"}, 1, arguments));
  const Window part = TRY(window(interpreter, self, start, end));
  const bool tuple = wanted.kind == Kind::sequence && wanted.sequence->type == SequenceType::tuple;
  const std::span<const Value> choices =
      tuple ? wanted.sequence->items : std::span<const Value>(&wanted, 1);
  for (const Value& choice : choices) {
    if (choice.kind == Kind::undefined) return use_of_undefined(choice);
    if (choice.kind != Kind::text) {
      return fail("{} first arg must be str or a tuple of str, not {}", name, type_name(choice));
    }
    if (part.valid && has_edge(part.text, choice.view(), at_end)) return boolean(true);
  }
  return boolean(false);
}
Result<Value> startswith(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return edge(interpreter, "startswith", self, arguments, false);
}
Result<Value> endswith(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return edge(interpreter, "endswith", self, arguments, true);
}
Result<Value> removeprefix(Interpreter& interpreter, const Value& self,
                           const Arguments& arguments) {
  const auto [prefix] = TRY(bind("removeprefix", {"prefix"}, 1, arguments));
  const std::string_view part = TRY(required_text("removeprefix", "prefix", prefix));
  const bool found = has_edge(self.view(), part, false);
  return part_of(interpreter, self, self.view().substr(found ? part.size() : 0));
}
Result<Value> removesuffix(Interpreter& interpreter, const Value& self,
                           const Arguments& arguments) {
  const auto [suffix] = TRY(bind("removesuffix", {"suffix"}, 1, arguments));
  const std::string_view part = TRY(required_text("removesuffix", "suffix", suffix));
  const bool found = has_edge(self.view(), part, true);
  return part_of(interpreter, self,
                 self.view().substr(0, self.text->size - (found ? part.size() : 0)));
}

Result<Value> replace(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const auto [old, with, limit] = TRY(bind("replace", {"old", "new", "count"}, 2, arguments));
  const std::string_view from = TRY(required_text("replace", "old", old));
  const std::string_view to = TRY(required_text("replace", "new", with));
  int64_t left = TRY(integer_or("replace", "count", limit, -1));
  const std::string_view text = self.view();
  TRY(interpreter.runtime().charge_bytes(text.size()));
  if (left < 0) left = std::numeric_limits<int64_t>::max();
  const int64_t times = std::min(left, count_parts(text, from));
  if (static_cast<size_t>(times) * std::max<size_t>(to.size(), 1) > kMaximumTextBytes) {
    return fail("replace(): expected text of at most {} MiB", kMaximumTextBytes >> 20);
  }
  std::string out;
  size_t at = 0;
  for (int64_t i = 0; i < times; ++i) {
    size_t next = from.empty() ? at : find_part(text, from, at);
    out += text.substr(at, next - at);
    out += to;
    at = next + from.size();
    if (from.empty() && at < text.size()) {  // between all characters
      next_character(text, next);
      out += text.substr(at, next - at);
      at = next;
    }
  }
  out += text.substr(at);
  return text_like(interpreter, self, out);
}

Result<Value> join(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const auto [iterable] = TRY(bind("join", {"iterable"}, 1, arguments));
  const std::span<const Value> items = TRY(interpreter.iterate(iterable));
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].kind != Kind::text) {
      return fail("sequence item {}: expected str instance, {} found", i, type_name(items[i]));
    }
    if (i > 0) out += self.view();
    out += items[i].view();
    if (out.size() > kMaximumTextBytes) return fail("join(): expected a shorter result");
  }
  return text_like(interpreter, self, out);
}

Result<Value> format(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  const std::string out = TRY(format_braces(interpreter, self.view(), arguments));
  return text_like(interpreter, self, out);
}

// Methods without a function are Python's that no template was seen to call: refused by name.
constexpr MethodEntry kMethods[] = {{"capitalize", to_case<Case::capitalize>},
                                    {"casefold", to_case<Case::lower>},
                                    {"center", center_text},
                                    {"count", count},
                                    {"encode", nullptr},
                                    {"endswith", endswith},
                                    {"expandtabs", nullptr},
                                    {"find", find},
                                    {"format", format},
                                    {"format_map", nullptr},
                                    {"index", index},
                                    {"isalnum", all_in_class<CharacterClass::alphanumeric>},
                                    {"isalpha", all_in_class<CharacterClass::alpha>},
                                    {"isascii", all_in_class<CharacterClass::ascii>},
                                    {"isdecimal", all_in_class<CharacterClass::decimal>},
                                    {"isdigit", all_in_class<CharacterClass::digit>},
                                    {"isidentifier", nullptr},
                                    {"islower", cased<false>},
                                    {"isnumeric", all_in_class<CharacterClass::digit>},
                                    {"isprintable", all_in_class<CharacterClass::printable>},
                                    {"isspace", all_in_class<CharacterClass::space>},
                                    {"istitle", nullptr},
                                    {"isupper", cased<true>},
                                    {"join", join},
                                    {"ljust", left_justify_text},
                                    {"lower", to_case<Case::lower>},
                                    {"lstrip", lstrip},
                                    {"maketrans", nullptr},
                                    {"partition", partition_text},
                                    {"removeprefix", removeprefix},
                                    {"removesuffix", removesuffix},
                                    {"replace", replace},
                                    {"rfind", rfind},
                                    {"rindex", rindex},
                                    {"rjust", right_justify_text},
                                    {"rpartition", right_partition_text},
                                    {"rsplit", right_split_text},
                                    {"rstrip", rstrip},
                                    {"split", split_text},
                                    {"splitlines", split_text_lines},
                                    {"startswith", startswith},
                                    {"strip", strip},
                                    {"swapcase", to_case<Case::swap>},
                                    {"title", to_case<Case::title>},
                                    {"translate", nullptr},
                                    {"upper", to_case<Case::upper>},
                                    {"zfill", zero_fill_text}};
static_assert(is_sorted_table(kMethods));

}  // namespace

std::span<const MethodEntry> text_methods() {
  return kMethods;
}

}  // namespace shoehorn::jinja
