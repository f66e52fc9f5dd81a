// Pre-tokenizers: text into the pieces that BPE never merges across.
//
// Each is a hand-written scanner that computes what the regular expressions of the model's
// tokenizer.json compute (tests/formats/tokenizer_scanner_test.cc holds them against PCRE2 running
// those expressions): at most two characters of lookahead, linear in the text.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "formats/tokenizer.h"

namespace shoehorn {

class PieceScanner {
 public:
  explicit PieceScanner(PreTokenizer pre_tokenizer);

  // Calls `piece` with each piece of `text` in order; together they are the text, none is empty.
  // A byte that belongs to no valid UTF-8 character counts as a character of no class.
  using Sink = std::function<void(std::string_view)>;
  void split(std::string_view text, const Sink& piece) const;

 private:
  PreTokenizer pre_tokenizer_;
  std::vector<uint8_t> classes_;  // by code point
};

}  // namespace shoehorn
