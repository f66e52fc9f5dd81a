// Texts and small tokenizers that the tokenizer's tests share.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/random.h"
#include "formats/tokenizer.h"

namespace shoehorn {

inline constexpr std::array<PreTokenizer, 7> kAllPreTokenizers = {
    PreTokenizer::deepseek_llm, PreTokenizer::deepseek_coder, PreTokenizer::deepseek_v3,
    PreTokenizer::qwen2,        PreTokenizer::llama3,         PreTokenizer::smollm,
    PreTokenizer::gpt2};

// The name with underscores, as GoogleTest wants it.
std::string identifier(PreTokenizer pre_tokenizer);

std::string utf8(char32_t code);

// `length` characters drawn from some hundred that the pre-tokenizers tell apart: all kinds of
// spaces, contractions, the borders of East Asian ranges, marks, numbers, symbols, unassigned code
// points.
std::string telling_text(Random& random, uint64_t length);

// Bytes with as much broken UTF-8 as whole characters.
std::string random_bytes(Random& random, uint64_t length);

// A vocabulary of the 256 bytes, then `merges` of two bytes strings each ("t h" makes "th").
TokenizerData byte_vocabulary(PreTokenizer pre_tokenizer,
                              const std::vector<std::pair<std::string, std::string>>& merges = {});

// A file of tests/golden/tokenizer, and the tokenizer that lies there for a family.
std::string golden_file(const std::string& name);
Tokenizer golden_tokenizer(PreTokenizer pre_tokenizer);

// `bytes` in the byte-to-unicode alphabet.
std::string spelled(std::string_view bytes);

}  // namespace shoehorn
