#include "formats/jinja/lexer.h"

#include <algorithm>
#include <array>

#include "formats/jinja/text.h"

namespace shoehorn::jinja {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_name_part(char c) {
  return is_name_start(c) || is_digit(c);
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  Result<std::vector<Token>> run() {
    while (position_ < text_.size()) TRY(data());
    emit(TokenKind::end, position_, position_);
    return std::move(tokens_);
  }

 private:
  // Text up to the next tag, then the tag.
  Result<void> data() {
    const size_t begin = position_;
    size_t tag = begin;
    while (true) {
      tag = text_.find('{', tag);
      if (tag == std::string_view::npos || tag + 1 >= text_.size()) {
        emit_data(text_.substr(begin));
        position_ = text_.size();
        return {};
      }
      const char next = text_[tag + 1];
      if (next == '{' || next == '%' || next == '#') break;
      ++tag;
    }
    const char type = text_[tag + 1];
    const char sign = tag + 2 < text_.size() ? text_[tag + 2] : '\0';
    emit_data(before_tag(text_.substr(begin, tag - begin), sign, type != '{'));
    count_lines(begin, tag);
    position_ = tag + 2 + (sign == '-' || sign == '+' ? 1 : 0);
    line_starting_ = false;
    if (type == '#') return comment();
    if (type == '%' && TRY(raw())) return {};
    emit(type == '%' ? TokenKind::block_begin : TokenKind::variable_begin, tag, tag + 2);
    return tag_body(type == '%');
  }

  // lstrip_blocks: white space between the line's start and a block or comment goes.
  std::string_view before_tag(std::string_view data, char sign, bool strippable) const {
    if (sign == '-') return strip_space(data, {.left = false, .right = true});
    if (sign == '+' || !strippable) return data;
    const size_t newline = data.rfind('\n');
    const size_t line = newline == std::string_view::npos ? 0 : newline + 1;
    if (line == 0 && !line_starting_) return data;
    return all_space(data.substr(line)) ? data.substr(0, line) : data;
  }

  Result<void> comment() {
    const int line = line_;
    const size_t begin = position_;
    const size_t end = text_.find("#}", begin);
    if (end == std::string_view::npos) {
      return fail("line {}: expected '#}}' to end the comment, found the end of the template",
                  line);
    }
    const char sign = end > begin ? text_[end - 1] : '\0';
    after_tag(begin, end + 2, sign, true);
    return {};
  }

  // {% raw %}...{% endraw %}; position_ is behind "{%" and its sign.
  Result<bool> raw() {
    size_t at = position_;
    if (!word_then_end(at, "raw", false)) return false;
    const int line = line_;
    count_lines(position_, at);
    size_t begin = at;
    line_starting_ = text_[at - 1] == '\n';
    for (size_t tag = begin; (tag = text_.find("{%", tag)) != std::string_view::npos; ++tag) {
      at = tag + 2;
      const char sign = at < text_.size() ? text_[at] : '\0';
      if (sign == '-' || sign == '+') ++at;
      if (!word_then_end(at, "endraw", true)) continue;
      emit_data(before_tag(text_.substr(begin, tag - begin), sign, true));
      count_lines(begin, at);
      line_starting_ = text_[at - 1] == '\n';
      position_ = at;
      return true;
    }
    return fail("line {}: expected 'endraw', found the end of the template", line);
  }

  // Moves `at` past `word` and "%}" with its white space control; false where they are not there.
  bool word_then_end(size_t& at, std::string_view word, bool trims) const {
    skip_space(at);
    if (text_.substr(at, word.size()) != word) return false;
    at += word.size();
    skip_space(at);
    const char sign = at < text_.size() ? text_[at] : '\0';
    if (sign == '-' || (trims && sign == '+')) ++at;
    if (text_.substr(at, 2) != "%}") return false;
    at += 2;
    if (sign == '-') {
      skip_space(at);
    } else if (trims && sign != '+' && at < text_.size() && text_[at] == '\n') {
      ++at;
    }
    return true;
  }

  void skip_space(size_t& at) const {
    while (at < text_.size()) {
      size_t next = at;
      if (!is_space(next_character(text_, next))) return;
      at = next;
    }
  }

  // Moves past the end of a tag: with '-' all white space goes, else (`trims`) one line end.
  void after_tag(size_t begin, size_t end, char sign, bool trims) {
    if (sign == '-') {
      skip_space(end);
    } else if (trims && sign != '+' && end < text_.size() && text_[end] == '\n') {
      ++end;
    }
    count_lines(begin, end);
    position_ = end;
    line_starting_ = text_[end - 1] == '\n';
  }

  Result<void> tag_body(bool block) {
    const std::string_view closing = block ? "%}" : "}}";
    std::string brackets;
    const int first_line = line_;
    while (position_ < text_.size()) {
      if (brackets.empty()) {
        const char c = text_[position_];
        const bool signed_end =
            (c == '-' || (block && c == '+')) && text_.substr(position_ + 1, 2) == closing;
        if (signed_end || text_.substr(position_, 2) == closing) {
          emit(block ? TokenKind::block_end : TokenKind::variable_end, position_, position_ + 2);
          after_tag(position_, position_ + (signed_end ? 3 : 2), signed_end ? c : '\0', block);
          return {};
        }
      }
      TRY(token(brackets));
    }
    return fail("line {}: expected '{}' to end the tag, found the end of the template", first_line,
                closing);
  }

  Result<void> token(std::string& brackets) {
    const size_t begin = position_;
    size_t next = begin;
    skip_space(next);
    if (next != begin) {
      count_lines(begin, next);
      position_ = next;
      return {};
    }
    const char c = text_[begin];
    if (is_digit(c)) return number();
    if (is_name_start(c)) {
      while (next < text_.size() && is_name_part(text_[next])) ++next;
      emit(TokenKind::name, begin, next);
      position_ = next;
      return {};
    }
    if (c == '\'' || c == '"') return quoted(c);
    return symbol(brackets);
  }

  size_t digits(size_t at, const char* set) const {
    while (at < text_.size()) {
      const size_t digit = text_[at] == '_' ? at + 1 : at;
      if (digit >= text_.size() ||
          std::string_view(set).find(text_[digit]) == std::string_view::npos) {
        break;
      }
      at = digit + 1;
    }
    return at;
  }

  Result<void> number() {
    constexpr const char* kDecimal = "0123456789";
    const size_t begin = position_;
    const char prefix = begin + 1 < text_.size() ? text_[begin + 1] | 0x20 : '\0';
    if (text_[begin] == '0' && (prefix == 'x' || prefix == 'o' || prefix == 'b')) {
      const char* set = prefix == 'x'   ? "0123456789abcdefABCDEF"
                        : prefix == 'o' ? "01234567"
                                        : "01";
      const size_t end = digits(begin + 2, set);
      if (end > begin + 2) return emit_number(TokenKind::integer, end);
    }
    size_t end = digits(begin, kDecimal);
    bool real = false;
    const bool after_dot = begin > 0 && text_[begin - 1] == '.';
    if (!after_dot && end + 1 < text_.size() && text_[end] == '.' && is_digit(text_[end + 1])) {
      end = digits(end + 1, kDecimal);
      real = true;
    }
    if (!after_dot && end < text_.size() && (text_[end] | 0x20) == 'e') {
      size_t exponent = end + 1;
      if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-')) ++exponent;
      if (exponent < text_.size() && is_digit(text_[exponent])) {
        end = digits(exponent, kDecimal);
        real = true;
      }
    }
    if (!real && text_[begin] == '0') end = digits(begin, "0");  // 012 is 0, then 12
    return emit_number(real ? TokenKind::real : TokenKind::integer, end);
  }

  Result<void> emit_number(TokenKind kind, size_t end) {
    emit(kind, position_, end);
    position_ = end;
    return {};
  }

  Result<void> quoted(char quote) {
    const size_t begin = position_ + 1;
    size_t at = begin;
    while (at < text_.size() && text_[at] != quote) at += text_[at] == '\\' ? 2 : 1;
    if (at >= text_.size()) {
      return fail("line {}: expected {} to end the string, found the end of the template", line_,
                  quote);
    }
    emit(TokenKind::text, begin, at);
    count_lines(begin, at);
    position_ = at + 1;
    return {};
  }

  Result<void> symbol(std::string& brackets) {
    constexpr std::array<std::string_view, 6> kPairs = {"//", "**", "==", "!=", ">=", "<="};
    constexpr std::string_view kSingles = "+-/*%~[](){}><=.:|,;";
    const std::string_view two = text_.substr(position_, 2);
    const char c = text_[position_];
    size_t size = 1;
    if (std::find(kPairs.begin(), kPairs.end(), two) != kPairs.end()) {
      size = 2;
    } else if (kSingles.find(c) == std::string_view::npos) {
      return fail("line {}: unexpected character '{}'", line_, c);
    }
    if (c == '(' || c == '[' || c == '{') {
      brackets += c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty()) return fail("line {}: unexpected '{}'", line_, c);
      if (brackets.back() != c) {
        return fail("line {}: expected '{}', found '{}'", line_, brackets.back(), c);
      }
      brackets.pop_back();
    }
    emit(TokenKind::symbol, position_, position_ + size);
    position_ += size;
    return {};
  }

  void emit(TokenKind kind, size_t begin, size_t end) {
    tokens_.push_back({kind, line_, text_.substr(begin, end - begin)});
  }
  void emit_data(std::string_view data) {
    if (!data.empty()) tokens_.push_back({TokenKind::data, line_, data});
  }
  void count_lines(size_t begin, size_t end) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(begin),
                                         text_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
  }

  std::string_view text_;
  size_t position_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // the last tag ended with a line end
  std::vector<Token> tokens_;
};

// \xhh, \uhhhh, \Uhhhhhhhh; `at` is behind the letter.
Result<uint32_t> hexadecimal(std::string_view literal, size_t& at, size_t count) {
  uint32_t value = 0;
  for (size_t i = 0; i < count; ++i, ++at) {
    const char c = at < literal.size() ? literal[at] : '\0';
    uint32_t digit = 0;
    if (is_digit(c)) {
      digit = static_cast<uint32_t>(c - '0');
    } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
      digit = static_cast<uint32_t>((c | 0x20) - 'a') + 10;
    } else {
      return fail("expected {} hexadecimal digits in the escape of a string", count);
    }
    value = value * 16 + digit;
  }
  if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
    return fail("expected a Unicode character in the escape of a string, found U+{:04X}", value);
  }
  return value;
}

}  // namespace

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::data:
      return "text";
    case TokenKind::block_begin:
      return "'{%'";
    case TokenKind::block_end:
      return "'%}'";
    case TokenKind::variable_begin:
      return "'{{'";
    case TokenKind::variable_end:
      return "'}}'";
    case TokenKind::text:
      return "a string";
    case TokenKind::end:
      return "the end of the template";
    default:
      return fmt::format("'{}'", token.view);
  }
}

std::string normalize_template(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      out += text[i];
    } else {
      out += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

Result<std::vector<Token>> tokenize(std::string_view text) {
  return Lexer(text).run();
}

Result<std::string> unescape(std::string_view literal) {
  std::string out;
  out.reserve(literal.size());
  for (size_t at = 0; at < literal.size();) {
    const char c = literal[at++];
    if (c != '\\' || at == literal.size()) {
      out += c;
      continue;
    }
    const char escape = literal[at++];
    constexpr std::string_view kLetters = "abfnrtv\\'\"";
    constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
    const size_t letter = kLetters.find(escape);
    if (letter != std::string_view::npos) {
      out += kMeanings[letter];
    } else if (escape == 'x') {
      append_character(out, TRY(hexadecimal(literal, at, 2)));
    } else if (escape == 'u') {
      append_character(out, TRY(hexadecimal(literal, at, 4)));
    } else if (escape == 'U') {
      append_character(out, TRY(hexadecimal(literal, at, 8)));
    } else if (escape >= '0' && escape <= '7') {
      uint32_t value = static_cast<uint32_t>(escape - '0');
      for (int i = 0; i < 2 && at < literal.size() && literal[at] >= '0' && literal[at] <= '7';
           ++i) {
        value = value * 8 + static_cast<uint32_t>(literal[at++] - '0');
      }
      append_character(out, value);
    } else if (escape == 'N') {
      return fail("\\N{{...}} escapes are not supported in strings");
    } else if (escape != '\n') {  // a line end is continued; unknown escapes stay as they are
      out += '\\';
      out += escape;
    }
  }
  return out;
}

}  // namespace shoehorn::jinja
