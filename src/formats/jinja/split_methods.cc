// Methods of str that cut a text into parts or pad it.
#include "formats/jinja/builtins.h"
#include "formats/jinja/text.h"

namespace shoehorn::jinja {
namespace {

using Parts = std::vector<std::string_view>;

Result<Value> list_of(Interpreter& interpreter, const Value& self, const Parts& parts,
                      SequenceType type = SequenceType::list) {
  std::vector<Value> values;
  values.reserve(parts.size());
  for (const std::string_view part : parts) {
    values.push_back(borrowed_text(interpreter.arena(), part));
    values.back().markup = self.markup;
  }
  return interpreter.list(values, type);
}

// Words between white space; behind `limit` cuts the rest stays whole.
Parts words_from_left(std::string_view text, int64_t limit) {
  Parts parts;
  text = strip_space(text, {.left = true, .right = false});
  while (!text.empty()) {
    size_t end = 0;
    if (limit-- == 0) {
      parts.push_back(text);
      break;
    }
    while (end < text.size()) {
      size_t next = end;
      if (is_space(next_character(text, next))) break;
      end = next;
    }
    parts.push_back(text.substr(0, end));
    text = strip_space(text.substr(end), {.left = true, .right = false});
  }
  return parts;
}

Parts words_from_right(std::string_view text, int64_t limit) {
  Parts words = words_from_left(text, -1);
  const auto count = static_cast<int64_t>(words.size());
  if (limit < 0 || limit >= count) return words;
  const auto whole = static_cast<size_t>(count - limit);  // words that stay together
  const char* end = words[whole - 1].data() + words[whole - 1].size();
  Parts parts = {text.substr(0, static_cast<size_t>(end - text.data()))};
  parts.insert(parts.end(), words.begin() + static_cast<std::ptrdiff_t>(whole), words.end());
  return parts;
}

Parts cut_from_left(std::string_view text, std::string_view separator, int64_t limit) {
  Parts parts;
  size_t begin = 0;
  for (; limit != 0; --limit) {
    const size_t at = find_part(text, separator, begin);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(begin, at - begin));
    begin = at + separator.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

Parts cut_from_right(std::string_view text, std::string_view separator, int64_t limit) {
  Parts parts;
  for (; limit != 0; --limit) {
    const size_t at = text.rfind(separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(at + separator.size()));
    text = text.substr(0, at);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

// A backward search compares the whole separator at every place.
Result<void> charge_backward(Interpreter& interpreter, const Value& self,
                             std::string_view separator) {
  return interpreter.runtime().charge_bytes(self.text->size * (1 + separator.size() / 64));
}

Result<std::string_view> separator_of(const char* name, const Value& value) {
  const std::string_view separator = TRY(required_text(name, "sep", value));
  if (separator.empty()) return fail("empty separator");
  return separator;
}

Result<Value> split(Interpreter& interpreter, const Value& self, const Arguments& arguments,
                    bool from_right) {
  const auto [sep, maximum] = TRY(bind("split", {"sep", "maxsplit"}, 0, arguments));
  int64_t limit = TRY(integer_or("split", "maxsplit", maximum, -1));
  limit = std::max<int64_t>(limit, -1);
  TRY(interpreter.runtime().charge_bytes(self.text->size));
  if (!sep.present() || sep.kind == Kind::none) {
    return list_of(
        interpreter, self,
        from_right ? words_from_right(self.view(), limit) : words_from_left(self.view(), limit));
  }
  const std::string_view separator = TRY(separator_of("split", sep));
  if (from_right) TRY(charge_backward(interpreter, self, separator));
  return list_of(interpreter, self,
                 from_right ? cut_from_right(self.view(), separator, limit)
                            : cut_from_left(self.view(), separator, limit));
}

Result<Value> partition(Interpreter& interpreter, const Value& self, const Arguments& arguments,
                        bool from_right) {
  const auto [sep] = TRY(bind("partition", {"sep"}, 1, arguments));
  const std::string_view separator = TRY(separator_of("partition", sep));
  const std::string_view text = self.view();
  if (from_right) TRY(charge_backward(interpreter, self, separator));
  TRY(interpreter.runtime().charge_bytes(text.size()));
  const size_t at = from_right ? text.rfind(separator) : find_part(text, separator);
  Parts parts = {text, "", ""};
  if (at != std::string_view::npos) {
    parts = {text.substr(0, at), text.substr(at, separator.size()),
             text.substr(at + separator.size())};
  } else if (from_right) {
    parts = {"", "", text};
  }
  return list_of(interpreter, self, parts, SequenceType::tuple);
}

// Python's str.center puts the odd space on the left when the width is odd too.
enum class Side : uint8_t { left, right, both };

Result<Value> justify(Interpreter& interpreter, const Value& self, const Arguments& arguments,
                      Side text_side) {
  const auto [width, filler] = TRY(bind("justify", {"width", "fillchar"}, 1, arguments));
  const int64_t wanted = TRY(integer_or("justify", "width", width, 0));
  std::string_view fill = " ";
  if (filler.present()) fill = TRY(required_text("justify", "fillchar", filler));
  if (count_characters(fill) != 1) {
    return fail("The fill character must be exactly one character long");
  }
  if (wanted > static_cast<int64_t>(kMaximumTextBytes)) return fail("expected a smaller width");
  const int64_t length = TRY(characters_of(interpreter.runtime(), *self.text));
  const int64_t missing = wanted - length;
  if (missing <= 0) return self;
  int64_t left = text_side == Side::left ? 0 : missing;
  if (text_side == Side::both) left = missing / 2 + (missing & wanted & 1);
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += self.view();
  for (int64_t i = left; i < missing; ++i) out += fill;
  return text_like(interpreter, self, out);
}

}  // namespace

Result<Value> split_text(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return split(interpreter, self, arguments, false);
}
Result<Value> right_split_text(Interpreter& interpreter, const Value& self,
                               const Arguments& arguments) {
  return split(interpreter, self, arguments, true);
}
Result<Value> partition_text(Interpreter& interpreter, const Value& self,
                             const Arguments& arguments) {
  return partition(interpreter, self, arguments, false);
}
Result<Value> right_partition_text(Interpreter& interpreter, const Value& self,
                                   const Arguments& arguments) {
  return partition(interpreter, self, arguments, true);
}

Result<Value> split_text_lines(Interpreter& interpreter, const Value& self,
                               const Arguments& arguments) {
  const auto [keep_ends] = TRY(bind("splitlines", {"keepends"}, 0, arguments));
  TRY(interpreter.runtime().charge_bytes(self.text->size));
  return list_of(interpreter, self, split_lines(self.view(), boolean_or(keep_ends, false)));
}

Result<Value> center_text(Interpreter& interpreter, const Value& self, const Arguments& arguments) {
  return justify(interpreter, self, arguments, Side::both);
}
Result<Value> left_justify_text(Interpreter& interpreter, const Value& self,
                                const Arguments& arguments) {
  return justify(interpreter, self, arguments, Side::left);
}
Result<Value> right_justify_text(Interpreter& interpreter, const Value& self,
                                 const Arguments& arguments) {
  return justify(interpreter, self, arguments, Side::right);
}

Result<Value> zero_fill_text(Interpreter& interpreter, const Value& self,
                             const Arguments& arguments) {
  const auto [width] = TRY(bind("zfill", {"width"}, 1, arguments));
  const int64_t wanted = TRY(integer_or("zfill", "width", width, 0));
  if (wanted > static_cast<int64_t>(kMaximumTextBytes)) return fail("expected a smaller width");
  const int64_t length = TRY(characters_of(interpreter.runtime(), *self.text));
  const int64_t missing = wanted - length;
  if (missing <= 0) return self;
  std::string out(self.view());
  const bool has_sign = !out.empty() && (out[0] == '-' || out[0] == '+');
  out.insert(has_sign ? 1 : 0, static_cast<size_t>(missing), '0');
  return text_like(interpreter, self, out);
}

}  // namespace shoehorn::jinja
