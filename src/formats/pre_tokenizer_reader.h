// How the pre-tokenizers read text: characters with their classes, and runs of them.
#pragma once

#include <cstdint>

#include "formats/pre_tokenizer_classes.h"
#include "formats/tokenizer_utf8.h"

namespace shoehorn {

struct ClassedCharacter {
  uint8_t classes = 0;
  uint32_t length = 0;  // bytes; 0 only at the end of the text
  bool is(int any_of) const { return (classes & any_of) != 0; }
};

// A text's end and the class table. Positions are pointers into the text.
struct TextReader {
  const uint8_t* classes;
  const char* end;

  ClassedCharacter at(const char* p) const {
    if (p == end) return {};
    const auto byte = static_cast<uint8_t>(*p);
    if (byte < 0x80) return {classes[byte], 1};
    const Utf8Character character = decode_utf8(p, end);
    if (character.state != Utf8Character::State::valid) return {0, 1};
    return {classes[character.code], character.length};
  }

  // The end of the run of characters that have any of these classes (have none of them).
  const char* run(const char* p, int any_of) const {
    for (ClassedCharacter c = at(p); c.is(any_of); c = at(p)) p += c.length;
    return p;
  }
  const char* run_without(const char* p, int none_of) const {
    for (ClassedCharacter c = at(p); c.length > 0 && !c.is(none_of); c = at(p)) p += c.length;
    return p;
  }
  const char* run_at_most(const char* p, int any_of, int count) const {
    for (ClassedCharacter c = at(p); count > 0 && c.is(any_of); c = at(p), --count) p += c.length;
    return p;
  }
};

}  // namespace shoehorn
