#include "formats/tokenizer_nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "formats/tokenizer_utf8.h"

namespace shoehorn {
namespace {

struct Range {
  char32_t first, last;
};
// tests/formats/tokenizer_nfc_test.cc proves them against utf8proc.
constexpr Range kInert[] = {
    {0x0, 0x2FF},     {0x400, 0x482},   {0x5D0, 0x5EA},     {0x2010, 0x2027},
    {0x3001, 0x3029}, {0x3041, 0x3096}, {0x30A0, 0x30FF},   {0x4E00, 0x9FFF},
    {0xAC00, 0xD7A3}, {0xFF01, 0xFFEE}, {0x1F300, 0x1FAFF},
};

bool is_inert(char32_t code) {
  if (code < 0x300) return true;
  for (const Range& range : kInert) {
    if (code >= range.first && code <= range.last) return true;
  }
  return false;
}

uint16_t combining_class(int32_t code) {
  return static_cast<uint16_t>(utf8proc_get_property(code)->combining_class);
}

// utf8proc_decompose reorders marks by swapping neighbours, quadratic in a run of them: here they
// are sorted, which keeps marks of one class in their order as the standard asks.
void sort_marks(std::vector<int32_t>& codes) {
  for (size_t i = 0; i < codes.size(); ++i) {
    if (combining_class(codes[i]) == 0) continue;
    size_t end = i;
    while (end < codes.size() && combining_class(codes[end]) != 0) ++end;
    std::stable_sort(codes.begin() + i, codes.begin() + end,
                     [](int32_t a, int32_t b) { return combining_class(a) < combining_class(b); });
    i = end;
  }
}

void append_decomposed(char32_t code, std::vector<int32_t>& codes) {
  constexpr utf8proc_ssize_t kMost = 32;  // canonical decompositions have 4 at most
  int32_t parts[kMost];
  int boundary = 0;
  const utf8proc_ssize_t count = utf8proc_decompose_char(
      static_cast<int32_t>(code), parts, kMost,
      static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE), &boundary);
  CHECK(count > 0 && count <= kMost, "U+{:04X} decomposes into {}", static_cast<uint32_t>(code),
        count);
  codes.insert(codes.end(), parts, parts + count);
}

// Composes `codes`, appends them as UTF-8 and leaves them empty.
void flush(std::vector<int32_t>& codes, std::string& out) {
  sort_marks(codes);
  const utf8proc_ssize_t count =
      utf8proc_normalize_utf32(codes.data(), static_cast<utf8proc_ssize_t>(codes.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    uint8_t bytes[4];
    const utf8proc_ssize_t size = utf8proc_encode_char(codes[i], bytes);
    out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  }
  codes.clear();
}

}  // namespace

bool is_plainly_nfc(std::string_view text) {
  const char* end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    if (static_cast<uint8_t>(*p) < 0x80) {
      ++p;
      continue;
    }
    const Utf8Character character = decode_utf8(p, end);
    if (character.state == Utf8Character::State::valid && !is_inert(character.code)) return false;
    p += character.length;
  }
  return true;
}

std::string to_nfc(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::vector<int32_t> codes;
  const char* end = text.data() + text.size();
  for (const char* p = text.data(); p < end;) {
    const Utf8Character character = decode_utf8(p, end);
    if (character.state == Utf8Character::State::valid) {
      append_decomposed(character.code, codes);
    } else {
      flush(codes, out);
      out.append(p, character.length);
    }
    p += character.length;
  }
  flush(codes, out);
  return out;
}

}  // namespace shoehorn
