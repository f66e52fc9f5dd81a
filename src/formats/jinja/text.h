// Python's str on UTF-8: positions, white space and case by character, not by byte.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shoehorn::jinja {

// The character at `position`, which moves past it; a byte that is not UTF-8 is one character,
// given as 0x110000 + byte so that no real character equals it.
uint32_t next_character(std::string_view text, size_t& position);
void append_character(std::string& out, uint32_t character);

int64_t count_characters(std::string_view text);
// The byte offset of a character, text.size() where there are fewer.
size_t offset_of(std::string_view text, int64_t character);

bool is_space(uint32_t character);  // str.isspace
bool all_space(std::string_view text);

struct Sides {
  bool left = true;
  bool right = true;
};
std::string_view strip_space(std::string_view text, Sides sides = {});
std::string_view strip_any(std::string_view text, std::string_view characters, Sides sides);

// Case maps of single characters; those that map to several are known where they occur in practice
// (sharp s, the ff, fi and fl ligatures, the Turkish capital i).
enum class Case : uint8_t { lower, upper, title, swap, capitalize };
std::string change_case(std::string_view text, Case to);
std::string title_words(std::string_view text);  // Jinja's title filter

// str.isalpha and its kin, by name without "is"; false for "".
enum class CharacterClass : uint8_t {
  alpha,
  decimal,
  digit,
  alphanumeric,
  space,
  ascii,
  printable
};
bool all_of_class(std::string_view text, CharacterClass wanted);
bool is_cased(std::string_view text, bool upper);  // islower, isupper

// string_view::find in linear time.
size_t find_part(std::string_view text, std::string_view part, size_t from = 0);

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

// repr(): quoted as Python does.
void append_quoted(std::string& out, std::string_view text);
// A JSON string as json.dumps writes it.
void append_json_text(std::string& out, std::string_view text, bool ensure_ascii);
// <, >, &, ' and " as HTML entities (markupsafe).
std::string escape_html(std::string_view text);

}  // namespace shoehorn::jinja
