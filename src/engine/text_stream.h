// TextStream: token ids into text that may be shown: whole characters only, and nothing that may
// still turn out to be the beginning of a stop string.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tokenizer.h"

namespace shoehorn {

class TextStream {
 public:
  // Stop strings end the text just before their first occurrence; empty ones are ignored.
  TextStream(const Tokenizer& tokenizer, std::vector<std::string> stop_strings);

  // The text that `token` makes certain. After a stop string: "".
  std::string next(int32_t token);
  // What was held back, at the end of the sequence.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::string release();

  Detokenizer detokenizer_;
  std::vector<std::string> stop_strings_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace shoehorn
