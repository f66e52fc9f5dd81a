// Filters that make text. Parameters and defaults are those of jinja2.filters.
#include <iterator>

#include "formats/jinja/builtins.h"
#include "formats/jinja/format.h"
#include "formats/jinja/print.h"
#include "formats/jinja/text.h"

namespace shoehorn::jinja {
namespace {

Result<Value> map_text(Interpreter& interpreter, const char* name, const Arguments& arguments,
                       std::string (*map)(std::string_view)) {
  const auto [s] = TRY(bind(name, {"s"}, 1, arguments));
  const Value text = TRY(as_text(interpreter, s));
  return text_like(interpreter, text, map(text.view()));
}

Result<Value> upper(Interpreter& interpreter, const Arguments& arguments) {
  return map_text(interpreter, "upper", arguments,
                  [](std::string_view s) { return change_case(s, Case::upper); });
}
Result<Value> lower(Interpreter& interpreter, const Arguments& arguments) {
  return map_text(interpreter, "lower", arguments,
                  [](std::string_view s) { return change_case(s, Case::lower); });
}
Result<Value> capitalize(Interpreter& interpreter, const Arguments& arguments) {
  return map_text(interpreter, "capitalize", arguments,
                  [](std::string_view s) { return change_case(s, Case::capitalize); });
}
Result<Value> title(Interpreter& interpreter, const Arguments& arguments) {
  return map_text(interpreter, "title", arguments, title_words);
}

Result<Value> trim(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value, characters] = TRY(bind("trim", {"value", "chars"}, 1, arguments));
  const Value text = TRY(as_text(interpreter, value));
  std::string_view stripped = strip_space(text.view());
  if (characters.present() && characters.kind != Kind::none) {
    const std::string_view set = TRY(required_text("trim", "chars", characters));
    stripped = strip_any(text.view(), set, {});
  }
  TRY(interpreter.runtime().charge_bytes(text.text->size - stripped.size()));
  Value result = borrowed_text(interpreter.arena(), stripped);
  result.markup = text.markup;
  return result;
}

Result<Value> string(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value] = TRY(bind("string", {"object"}, 1, arguments));
  return as_text(interpreter, value);
}

Result<Value> safe(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value] = TRY(bind("safe", {"value"}, 1, arguments));
  Value text = TRY(as_text(interpreter, value));
  text.markup = true;
  return text;
}

Result<Value> escape(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value] = TRY(bind("escape", {"s"}, 1, arguments));
  const Value text = TRY(as_text(interpreter, value));
  if (text.markup) return text;
  Value result = TRY(interpreter.text(escape_html(text.view())));
  result.markup = true;
  return result;
}

Result<Value> force_escape(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value] = TRY(bind("forceescape", {"value"}, 1, arguments));
  const Value text = TRY(as_text(interpreter, value));
  Value result = TRY(interpreter.text(escape_html(text.view())));
  result.markup = true;
  return result;
}

Result<Value> replace(Interpreter& interpreter, const Arguments& arguments) {
  const auto [s, old, with, count] =
      TRY(bind("replace", {"s", "old", "new", "count"}, 3, arguments));
  const Value texts[] = { TRY(as_text(interpreter, old)), TRY(as_text(interpreter, with)), count };
  Value text = TRY(as_text(interpreter, s));
  text.markup = false;
  const MethodEntry* method = find_method(text, "replace");
  return method->method(interpreter, text, {.positional = {texts, count.present() ? 3u : 2u}});
}

Result<Value> format(Interpreter& interpreter, const Arguments& arguments) {
  if (arguments.positional.empty()) return fail("format() missing required argument 'value'");
  const Value text = TRY(as_text(interpreter, arguments.positional[0]));
  const std::span<const Value> values = arguments.positional.subspan(1);
  if (!values.empty() && !arguments.named.empty()) {
    return fail("can't handle positional and keyword arguments at the same time");
  }
  if (arguments.named.empty()) {
    const Value tuple = TRY(interpreter.list(values, SequenceType::tuple));
    return interpreter.binary(Operator::modulo, text, tuple);
  }
  const Value dict = make_dict(interpreter.arena(), arguments.named.size());
  for (const NamedValue& named : arguments.named) {
    const Value key = borrowed_text(interpreter.arena(), named.name);
    TRY(insert(interpreter.runtime(), *dict.dict, key, named.value));
  }
  return interpreter.binary(Operator::modulo, text, dict);
}

Result<Value> indent(Interpreter& interpreter, const Arguments& arguments) {
  const auto [s, width, first, blank] =
      TRY(bind("indent", {"s", "width", "first", "blank"}, 1, arguments));
  const std::string_view text = TRY(required_text("indent", "s", s));
  std::string indention;
  if (width.kind == Kind::text) {
    indention = width.view();
  } else {
    const int64_t count = TRY(integer_or("indent", "width", width, 4));
    if (count > static_cast<int64_t>(kMaximumTextBytes)) return fail("indent(): width too large");
    indention.assign(static_cast<size_t>(std::max<int64_t>(count, 0)), ' ');
  }
  TRY(interpreter.runtime().charge_bytes(text.size()));
  const std::string with_end = std::string(text) + "\n";
  const std::vector<std::string_view> lines = split_lines(with_end, false);
  const size_t added = indention.size() * lines.size();
  if (added > kMaximumTextBytes) return fail("indent(): expected a shorter result");
  std::string out;
  out.reserve(text.size() + added);
  if (boolean_or(first, false)) out += indention;
  const bool indents_blank = boolean_or(blank, false);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) {
      out += '\n';
      if (indents_blank || !lines[i].empty()) out += indention;
    }
    out += lines[i];
  }
  return text_like(interpreter, s, out);
}

Result<Value> center(Interpreter& interpreter, const Arguments& arguments) {
  const auto [value, width] = TRY(bind("center", {"value", "width"}, 1, arguments));
  const Value text = TRY(as_text(interpreter, value));
  const Value amount = width.present() ? width : integer(80);
  return find_method(text, "center")->method(interpreter, text, {.positional = {&amount, 1}});
}

Result<Value> truncate(Interpreter& interpreter, const Arguments& arguments) {
  const auto [s, length, kill_words, end, leeway] =
      TRY(bind("truncate", {"s", "length", "killwords", "end", "leeway"}, 1, arguments));
  const int64_t limit = TRY(integer_or("truncate", "length", length, 255));
  const int64_t slack = TRY(integer_or("truncate", "leeway", leeway, 5));
  std::string_view ending = "...";
  if (end.present()) ending = TRY(required_text("truncate", "end", end));
  const int64_t ending_length = count_characters(ending);
  if (limit < ending_length || slack < 0) {
    return fail("truncate(): expected length >= {} and leeway >= 0, found {} and {}", ending_length,
                limit, slack);
  }
  const int64_t characters = TRY(length_of(interpreter, s));
  if (characters <= limit || characters - limit <= slack) return s;
  const std::string_view text = TRY(required_text("truncate", "s", s));
  std::string_view kept = text.substr(0, offset_of(text, limit - ending_length));
  if (!boolean_or(kill_words, false)) {
    const size_t space = kept.rfind(' ');
    if (space != std::string_view::npos) kept = kept.substr(0, space);
  }
  return text_like(interpreter, s, std::string(kept) + std::string(ending));
}

Result<Value> word_count(Interpreter& interpreter, const Arguments& arguments) {
  const auto [s] = TRY(bind("wordcount", {"s"}, 1, arguments));
  const Value text = TRY(as_text(interpreter, s));
  TRY(interpreter.runtime().charge_bytes(text.text->size));
  int64_t count = 0;
  bool inside = false;
  for (size_t position = 0; position < text.text->size;) {
    const size_t begin = position;
    next_character(text.view(), position);
    const std::string_view character = text.view().substr(begin, position - begin);
    const bool word = character == "_" || all_of_class(character, CharacterClass::alphanumeric);
    if (word && !inside) ++count;
    inside = word;
  }
  return integer(count);
}

Result<void> read_separators(Interpreter& interpreter, const Value& separators,
                             JsonOptions& options) {
  const std::span<const Value> pair = TRY(interpreter.iterate(separators));
  if (pair.size() != 2) return fail("tojson(): expected two separators, found {}", pair.size());
  options.item_separator = TRY(required_text("tojson", "separators", pair[0]));
  options.key_separator = TRY(required_text("tojson", "separators", pair[1]));
  return {};
}

// transformers' filter, not Jinja's: json.dumps, nothing escaped for HTML.
Result<Value> to_json(Interpreter& interpreter, const Arguments& arguments) {
  const auto [x, ensure_ascii, width, separators, sort_keys] =
      TRY(bind("tojson", {"x", "ensure_ascii", "indent", "separators", "sort_keys"}, 1, arguments));
  JsonOptions options;
  options.ensure_ascii = boolean_or(ensure_ascii, false);
  options.sort_keys = boolean_or(sort_keys, false);
  options.indented = width.present() && width.kind != Kind::none;
  if (options.indented) {
    options.item_separator = ",";
    if (width.kind == Kind::text) {
      options.indent = width.view();
    } else {
      const int64_t count = TRY(integer_or("tojson", "indent", width, 0));
      options.indent.assign(static_cast<size_t>(std::clamp<int64_t>(count, 0, 1000)), ' ');
    }
  }
  if (separators.present() && separators.kind != Kind::none) {
    TRY(read_separators(interpreter, separators, options));
  }
  std::string out;
  TRY(append_json(interpreter.runtime(), out, x, options));
  return interpreter.text(out);
}

constexpr BuiltinEntry kFilters[] = {
    {"capitalize", capitalize},    {"center", center}, {"e", escape},          {"escape", escape},
    {"forceescape", force_escape}, {"format", format}, {"indent", indent},     {"lower", lower},
    {"replace", replace},          {"safe", safe},     {"string", string},     {"title", title},
    {"tojson", to_json},           {"trim", trim},     {"truncate", truncate}, {"upper", upper},
    {"wordcount", word_count}};
static_assert(is_sorted_table(kFilters));

}  // namespace

std::span<const BuiltinEntry> text_filters() {
  return kFilters;
}

}  // namespace shoehorn::jinja
