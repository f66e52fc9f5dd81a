#include "formats/tokenizer.h"
#include "formats/tokenizer_utf8.h"

namespace shoehorn {

std::string Detokenizer::next(int32_t id) {
  if (skip_special_ && tokenizer_->is_special(id)) return {};
  pending_ += tokenizer_->token_bytes(id);
  std::string text;
  const char* end = pending_.data() + pending_.size();
  const char* p = pending_.data();
  while (p < end) {
    const Utf8Character character = decode_utf8(p, end);
    if (character.state == Utf8Character::State::incomplete) break;
    if (character.state == Utf8Character::State::valid) {
      text.append(p, character.length);
    } else {
      text += "\uFFFD";
    }
    p += character.length;
  }
  pending_.erase(0, static_cast<size_t>(p - pending_.data()));
  return text;
}

std::string Detokenizer::finish() {
  const bool incomplete = !pending_.empty();  // the beginning of one character, never more
  pending_.clear();
  return incomplete ? "\uFFFD" : "";
}

}  // namespace shoehorn
