#include "formats/jinja/text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cstring>
#include <iterator>

namespace shoehorn::jinja {
namespace {

constexpr uint32_t kNotUnicode = 0x110000;

utf8proc_category_t category(uint32_t character) {
  if (character >= kNotUnicode) return UTF8PROC_CATEGORY_CN;
  return utf8proc_category(static_cast<utf8proc_int32_t>(character));
}

bool is_lower(uint32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LL;
}
bool is_upper(uint32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LU || category(c) == UTF8PROC_CATEGORY_LT;
}

bool is_letter(uint32_t c) {
  const utf8proc_category_t found = category(c);
  return found >= UTF8PROC_CATEGORY_LU && found <= UTF8PROC_CATEGORY_LO;
}

bool is_printable(uint32_t c) {
  if (c < 0x7F) return c >= 0x20;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

void append_upper(std::string& out, uint32_t c) {
  switch (c) {
    case 0xDF:  // sharp s
      out += "SS";
      return;
    case 0xFB00:
      out += "FF";
      return;
    case 0xFB01:
      out += "FI";
      return;
    case 0xFB02:
      out += "FL";
      return;
    default:
      append_character(out, c >= kNotUnicode
                                ? c
                                : static_cast<uint32_t>(utf8proc_toupper(static_cast<int32_t>(c))));
  }
}

void append_title(std::string& out, uint32_t c) {
  if (c == 0xDF) {
    out += "Ss";
    return;
  }
  append_character(
      out, c >= kNotUnicode ? c : static_cast<uint32_t>(utf8proc_totitle(static_cast<int32_t>(c))));
}

void append_lower(std::string& out, uint32_t c) {
  if (c == 0x130) {  // capital i with a dot: the dot becomes a character of its own
    out += "i\u0307";
    return;
  }
  append_character(
      out, c >= kNotUnicode ? c : static_cast<uint32_t>(utf8proc_tolower(static_cast<int32_t>(c))));
}

bool in_class(uint32_t c, CharacterClass wanted) {
  switch (wanted) {
    case CharacterClass::alpha:
      return is_letter(c);
    case CharacterClass::decimal:
      return category(c) == UTF8PROC_CATEGORY_ND;
    case CharacterClass::digit:  // superscripts and circled digits count too; the common ones
      return category(c) == UTF8PROC_CATEGORY_ND || c == 0xB2 || c == 0xB3 || c == 0xB9 ||
             (c >= 0x2070 && c <= 0x2089 && category(c) == UTF8PROC_CATEGORY_NO);
    case CharacterClass::alphanumeric:
      return is_letter(c) ||
             (category(c) >= UTF8PROC_CATEGORY_ND && category(c) <= UTF8PROC_CATEGORY_NO);
    case CharacterClass::space:
      return is_space(c);
    case CharacterClass::ascii:
      return c < 0x80;
    case CharacterClass::printable:
      return is_printable(c);
  }
  return false;
}

bool ends_line(uint32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

// The start of the last character of a text that is not empty.
size_t last_start(std::string_view text) {
  size_t start = text.size() - 1;
  while (start > 0 && text.size() - start < 4 && (text[start] & 0xC0) == 0x80) --start;
  size_t end = start;
  next_character(text, end);
  return end == text.size() ? start : text.size() - 1;
}

template <typename Wanted>
std::string_view strip(std::string_view text, Sides sides, const Wanted& wanted) {
  size_t begin = 0;
  while (sides.left && begin < text.size()) {
    size_t next = begin;
    if (!wanted(next_character(text, next))) break;
    begin = next;
  }
  text.remove_prefix(begin);
  while (sides.right && !text.empty()) {
    const size_t start = last_start(text);
    size_t end = start;
    if (!wanted(next_character(text, end))) break;
    text = text.substr(0, start);
  }
  return text;
}

}  // namespace

uint32_t next_character(std::string_view text, size_t& position) {
  const auto byte = static_cast<unsigned char>(text[position]);
  if (byte < 0x80) {
    ++position;
    return byte;
  }
  utf8proc_int32_t character = -1;
  const utf8proc_ssize_t size =
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + position,
                       static_cast<utf8proc_ssize_t>(text.size() - position), &character);
  if (size <= 0) {
    ++position;
    return kNotUnicode + byte;
  }
  position += static_cast<size_t>(size);
  return static_cast<uint32_t>(character);
}

void append_character(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c >= kNotUnicode) {
    out += static_cast<char>(c - kNotUnicode);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (c >> 18));
    out += static_cast<char>(0x80 | ((c >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

int64_t count_characters(std::string_view text) {
  int64_t count = 0;
  for (size_t position = 0; position < text.size(); ++count) next_character(text, position);
  return count;
}

size_t offset_of(std::string_view text, int64_t character) {
  size_t position = 0;
  while (character > 0 && position < text.size()) {
    next_character(text, position);
    --character;
  }
  return position;
}

bool is_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

bool all_space(std::string_view text) {
  return strip_space(text).empty();
}

std::string_view strip_space(std::string_view text, Sides sides) {
  return strip(text, sides, [](uint32_t c) { return is_space(c); });
}

std::string_view strip_any(std::string_view text, std::string_view characters, Sides sides) {
  std::vector<uint32_t> set;
  for (size_t position = 0; position < characters.size();) {
    set.push_back(next_character(characters, position));
  }
  std::sort(set.begin(), set.end());
  return strip(text, sides,
               [&](uint32_t c) { return std::binary_search(set.begin(), set.end(), c); });
}

std::string change_case(std::string_view text, Case to) {
  std::string out;
  out.reserve(text.size());
  bool inside_word = false;
  for (size_t position = 0; position < text.size();) {
    const bool first = position == 0;
    const uint32_t c = next_character(text, position);
    switch (to) {
      case Case::lower:
        append_lower(out, c);
        break;
      case Case::upper:
        append_upper(out, c);
        break;
      case Case::swap:
        is_upper(c) ? append_lower(out, c) : append_upper(out, c);
        break;
      case Case::capitalize:
        first ? append_title(out, c) : append_lower(out, c);
        break;
      case Case::title:
        inside_word ? append_lower(out, c) : append_title(out, c);
        inside_word = is_letter(c);
        break;
    }
  }
  return out;
}

std::string title_words(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool first = true;
  for (size_t position = 0; position < text.size();) {
    const uint32_t c = next_character(text, position);
    first ? append_upper(out, c) : append_lower(out, c);
    first = is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
  }
  return out;
}

bool all_of_class(std::string_view text, CharacterClass wanted) {
  for (size_t position = 0; position < text.size();) {
    if (!in_class(next_character(text, position), wanted)) return false;
  }
  const bool holds_for_nothing =
      wanted == CharacterClass::ascii || wanted == CharacterClass::printable;
  return holds_for_nothing || !text.empty();
}

bool is_cased(std::string_view text, bool upper) {
  bool found = false;
  for (size_t position = 0; position < text.size();) {
    const uint32_t c = next_character(text, position);
    if (upper ? is_lower(c) : is_upper(c)) return false;
    if (upper ? is_upper(c) : is_lower(c)) found = true;
  }
  return found;
}

size_t find_part(std::string_view text, std::string_view part, size_t from) {
  if (from > text.size() || text.size() - from < part.size()) return std::string_view::npos;
  if (part.empty()) return from;
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t position = 0; position < text.size();) {
    const size_t end = position;
    const uint32_t c = next_character(text, position);
    if (!ends_line(c)) continue;
    if (c == '\r' && position < text.size() && text[position] == '\n') ++position;
    lines.push_back(text.substr(begin, (keep_ends ? position : end) - begin));
    begin = position;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

void append_quoted(std::string& out, std::string_view text) {
  const bool double_quotes =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = double_quotes ? '"' : '\'';
  out += quote;
  for (size_t position = 0; position < text.size();) {
    const size_t start = position;
    const uint32_t c = next_character(text, position);
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c) || c >= kNotUnicode) {
      out += text.substr(start, position - start);
    } else if (c < 0x100) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", c);
    } else if (c < 0x10000) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", c);
    } else {
      fmt::format_to(std::back_inserter(out), "\\U{:08x}", c);
    }
  }
  out += quote;
}

void append_json_text(std::string& out, std::string_view text, bool ensure_ascii) {
  out += '"';
  for (size_t position = 0; position < text.size();) {
    const size_t start = position;
    const uint32_t c = next_character(text, position);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c >= 0x20 && (c < 0x7F || !ensure_ascii)) {
      out += text.substr(start, position - start);
    } else if (c < 0x20 && (c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == '\b')) {
      constexpr std::string_view kLetters = "btn fr";
      out += '\\';
      out += kLetters[c - 8];
    } else if (c < 0x10000 || c >= kNotUnicode) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", c >= kNotUnicode ? 0xFFFD : c);
    } else {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}\\u{:04x}", 0xD800 + ((c - 0x10000) >> 10),
                     0xDC00 + ((c - 0x10000) & 0x3FF));
    }
  }
  out += '"';
}

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace shoehorn::jinja
