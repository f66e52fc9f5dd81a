#include "tests/formats/tokenizer_testing.h"

#include <algorithm>

#include "base/file.h"

namespace shoehorn {
namespace {

constexpr char32_t kTelling[] = {
    ' ',    ' ',    ' ',     ' ',    '\n',   '\n',   '\r',   '\t',    0xB,     0x85,    0xA0,
    0x2003, 0x2028, 0x3000,  0x180E, 'a',    'b',    'Z',    's',     't',     'r',     'e',
    'v',    'm',    'l',     'd',    'S',    'T',    'R',    'E',     'L',     '\'',    '\'',
    '\'',   0x17F,  0x212A,  0xE9,   0xDF,   0x1BB,  0x294,  0x3B1,   0x436,   0x5D0,   0x10400,
    0xFF21, 0xFB01, 0x4E00,  0x597D, 0x9FA5, 0x9FA6, 0x3400, 0x20000, 0x7FF,   0x800,   0x915,
    0x93F,  0xE01,  0xE31,   0x1100, 0x3005, 0x3007, 0x3040, 0x3042,  0x3097,  0x3099,  0x309B,
    0x309F, 0x30A0, 0x30A2,  0x30FB, 0x30FC, 0x30FF, 0x3100, 0x3105,  0xAC00,  0xD7A3,  0xD7FF,
    0xF900, '0',    '1',     '9',    0xB2,   0xBD,   0x664,  0x2163,  0xFF11,  0x1D7CE, '.',
    ',',    '-',    '_',     '!',    '(',    '"',    '/',    '@',     '#',     0x2014,  0x2018,
    0x201D, 0x201F, 0x3001,  0x3002, 0x3003, 0xFF01, 0xFF0C, 0xFF5E,  0xFF5F,  0xA7,    '+',
    '$',    '`',    '^',     '~',    '<',    '|',    0x20AC, 0x2192,  0x1F600, 0x1F3FD, 0x1F1E9,
    0x301,  0x323,  0x200D,  0xFE0F, 0x20E3, 0xAD,   0x200B, 0,       1,       0x7F,    0xE000,
    0x378,  0xFFFF, 0x10FFFF};

}  // namespace

std::string identifier(PreTokenizer pre_tokenizer) {
  std::string text = name(pre_tokenizer);
  std::replace(text.begin(), text.end(), '-', '_');
  return text;
}

std::string utf8(char32_t code) {
  const auto byte = [](char32_t value) { return static_cast<char>(value); };
  const auto tail = [&](int shift) {
    return byte(0x80 | (static_cast<uint32_t>(code) >> shift & 0x3F));
  };
  if (code < 0x80) return {byte(code)};
  if (code < 0x800) return {byte(0xC0 | code >> 6), tail(0)};
  if (code < 0x10000) return {byte(0xE0 | code >> 12), tail(6), tail(0)};
  return {byte(0xF0 | code >> 18), tail(12), tail(6), tail(0)};
}

std::string telling_text(Random& random, uint64_t length) {
  std::string text;
  for (uint64_t i = 0; i < length; ++i) text += utf8(kTelling[random.below(std::size(kTelling))]);
  return text;
}

std::string random_bytes(Random& random, uint64_t length) {
  std::string text;
  while (text.size() < length) {
    switch (random.below(4)) {
      case 0:
        text += static_cast<char>(random.below(256));
        break;
      case 1:
        text += telling_text(random, 1);
        break;
      case 2: {  // a character cut short
        const std::string whole = telling_text(random, 1);
        text += whole.substr(0, random.below(whole.size()) + 1);
        break;
      }
      default:
        text += static_cast<char>(' ' + random.below(95));
    }
  }
  return text;
}

std::string spelled(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    if ((byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174) {
      text += utf8(byte);
    } else {
      text += utf8(256 + (byte <= 32 ? byte : byte <= 160 ? byte - 94 : 67));
    }
  }
  return text;
}

std::string golden_file(const std::string& name) {
  Result<std::string> text =
      read_text_file(std::string(SOURCE_ROOT) + "/tests/golden/tokenizer/" + name);
  CHECK(text.ok(), "{}", text.error().message);
  return std::move(*text);
}

Tokenizer golden_tokenizer(PreTokenizer pre_tokenizer) {
  const std::string family = identifier(pre_tokenizer);
  Result<TokenizerData> data = parse_tokenizer_json(golden_file(family + ".json"), "", family);
  CHECK(data.ok(), "{}", data.error().message);
  Result<Tokenizer> tokenizer = Tokenizer::create(std::move(*data));
  CHECK(tokenizer.ok(), "{}", tokenizer.error().message);
  return std::move(*tokenizer);
}

TokenizerData byte_vocabulary(PreTokenizer pre_tokenizer,
                              const std::vector<std::pair<std::string, std::string>>& merges) {
  TokenizerData data;
  data.source = "test";
  data.pre_tokenizer = pre_tokenizer;
  for (int byte = 0; byte < 256; ++byte) {
    data.tokens.push_back(spelled(std::string(1, static_cast<char>(byte))));
  }
  for (const auto& [left, right] : merges) {
    data.tokens.push_back(spelled(left + right));
    data.merges.push_back(spelled(left) + " " + spelled(right));
  }
  return data;
}

}  // namespace shoehorn
