// UTF-8, one character at a time, with malformed input told apart from input that stops too early.
#pragma once

#include <cstdint>

namespace shoehorn {

struct Utf8Character {
  enum class State : uint8_t { valid, invalid, incomplete };
  char32_t code = 0;  // where valid
  uint32_t length =
      0;  // bytes: of the character; of the malformed part (Unicode's "maximal subpart",
          // what one U+FFFD replaces); of the prefix that the text's end cuts short
  State state = State::invalid;
};

// REQUIRES: text < end.
inline Utf8Character decode_utf8(const char* text, const char* end) {
  using State = Utf8Character::State;
  const auto byte = [text](int i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return {first, 1, State::valid};
  if (first < 0xC2 || first > 0xF4) return {0, 1, State::invalid};
  const uint32_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF.
  uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  char32_t code = first & (0x7Fu >> length);
  for (uint32_t i = 1; i < length; ++i) {
    if (text + i == end) return {0, i, State::incomplete};
    const uint8_t next = byte(static_cast<int>(i));
    if (next < low || next > high) return {0, i, State::invalid};
    code = code << 6 | (next & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {code, length, State::valid};
}

}  // namespace shoehorn
