#include "formats/tokenizer_alphabet.h"

#include <array>

namespace shoehorn {
namespace {

constexpr int kCharacters = 256 + 68;  // U+0000 to U+0143

constexpr bool stands_for_itself(int byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

// By code point: the byte, or -1.
constexpr std::array<int16_t, kCharacters> make_bytes() {
  std::array<int16_t, kCharacters> bytes{};
  for (int16_t& byte : bytes) byte = -1;
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    bytes[stands_for_itself(byte) ? byte : next++] = static_cast<int16_t>(byte);
  }
  return bytes;
}

constexpr std::array<int16_t, kCharacters> kBytes = make_bytes();

}  // namespace

bool append_token_bytes(std::string_view token, std::string& bytes) {
  const size_t size_before = bytes.size();
  for (size_t i = 0; i < token.size();) {
    const auto first = static_cast<uint8_t>(token[i]);
    int code = first;
    size_t length = 1;
    if (first >= 0xC2 && first <= 0xC5 && i + 1 < token.size()) {  // U+0080 to U+017F
      code = (first & 0x1F) << 6 | (static_cast<uint8_t>(token[i + 1]) & 0x3F);
      length = (token[i + 1] & 0xC0) == 0x80 ? 2 : 0;
    }
    const bool ascii_or_pair = (first < 0x80 && length == 1) || length == 2;
    if (!ascii_or_pair || code >= kCharacters || kBytes[code] < 0) {
      bytes.resize(size_before);
      return false;
    }
    bytes.push_back(static_cast<char>(kBytes[code]));
    i += length;
  }
  return true;
}

std::string byte_token(uint8_t byte) {
  int code = 0;
  while (kBytes[static_cast<size_t>(code)] != byte) ++code;
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))};
}

}  // namespace shoehorn
