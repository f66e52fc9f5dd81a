#include "formats/quote.h"

#include <fmt/format.h>

#include <cstdint>

namespace shoehorn {
namespace {

constexpr size_t kMostBytes = 100;

// Bytes of the UTF-8 character that begins at `text`, 0 where none does (loose: overlong forms
// pass, which is harmless in a message).
size_t utf8_length(std::string_view text) {
  const auto first = static_cast<uint8_t>(text[0]);
  const size_t length = first >= 0xF0 && first < 0xF8 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first >= 0xF8 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((static_cast<uint8_t>(text[i]) & 0xC0) != 0x80) return 0;
  }
  return length;
}

}  // namespace

std::string quote(std::string_view text) {
  std::string out = "'";
  for (size_t i = 0; i < text.size();) {
    if (i >= kMostBytes) {
      out += "...";
      break;
    }
    const auto byte = static_cast<uint8_t>(text[i]);
    if (byte >= 0x20 && byte < 0x7F) {
      out += text[i++];
      continue;
    }
    const size_t length = byte < 0x80 ? 0 : utf8_length(text.substr(i));
    if (length == 0) {
      out += fmt::format("\\x{:02X}", byte);
      ++i;
    } else {
      out += text.substr(i, length);
      i += length;
    }
  }
  return out + "'";
}

}  // namespace shoehorn
