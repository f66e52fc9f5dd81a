// Unicode classes as the pre-tokenizers' regular expressions name them, looked up by code point.
//
// The tables are part of this repository (pre_tokenizer_class_runs.cc: Unicode 16, as Hugging Face
// tokenizers 0.23 has it), so ids do not depend on the distribution's Unicode libraries.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tokenizer.h"

namespace shoehorn {

// Bits; a code point has any number of them.
enum CharacterClass : uint8_t {
  kLetter = 1,       // \p{L}; deepseek-llm: its own list of letters
  kMark = 2,         // \p{M}
  kNumber = 4,       // \p{N}
  kPunctuation = 8,  // \p{P}; deepseek-llm: its own list
  kSymbol = 16,      // \p{S}
  kSpace = 32,       // \s, the property White_Space
  kNewline = 64,     // \r and \n, which have kSpace too
  kCjk = 128,        // deepseek-*: the ranges that their East Asian stage isolates
};

// One entry a run of code points of equal classes (kCjk aside): first code point << 8 | classes.
std::span<const uint32_t> unicode_class_runs();

struct CodePointRange {
  char32_t first;
  char32_t last;  // inclusive
};

// The lists that the deepseek regular expressions spell out, in the files' order.
std::span<const CodePointRange> deepseek_llm_letters();
std::span<const CodePointRange> deepseek_llm_punctuation();
std::span<const CodePointRange> deepseek_cjk();  // deepseek-llm and deepseek-coder
std::span<const CodePointRange> deepseek_v3_cjk();

// The classes of every code point as `pre_tokenizer` needs them, one byte each (1.1 MB):
// deepseek-llm's lists in place of \p{L} and \p{P}, and kCjk where the pre-tokenizer has such a
// stage.
std::vector<uint8_t> character_classes(PreTokenizer pre_tokenizer);

}  // namespace shoehorn
