#include "formats/tokenizer_added.h"

#include <algorithm>

namespace shoehorn {

AddedTokenMatcher::AddedTokenMatcher(const std::vector<AddedToken>& tokens, bool special_too) {
  for (const AddedToken& token : tokens) {
    if (special_too || !token.special) entries_.push_back({token.content, token.id});
  }
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.content, a.id) < std::tie(b.content, b.id);
  });
  for (const Entry& entry : entries_) ++first_byte_[static_cast<uint8_t>(entry.content[0]) + 1];
  for (size_t byte = 0; byte < 256; ++byte) first_byte_[byte + 1] += first_byte_[byte];
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::find(std::string_view text,
                                                                size_t from) const {
  if (entries_.empty()) return std::nullopt;
  for (size_t position = from; position < text.size(); ++position) {
    const auto first = static_cast<uint8_t>(text[position]);
    uint32_t low = first_byte_[first], high = first_byte_[first + 1];
    const Entry* best = nullptr;
    for (size_t depth = 1; low < high; ++depth) {  // entries [low, high) agree on `depth` bytes
      if (entries_[low].content.size() == depth) {
        best = &entries_[low];
        do {  // equal contents: the lowest id counts
          ++low;
        } while (low < high && entries_[low].content.size() == depth);
      }
      if (position + depth == text.size()) break;
      const auto begin = entries_.begin() + low, end = entries_.begin() + high;
      const auto byte = static_cast<uint8_t>(text[position + depth]);
      const auto at_depth = [depth](const Entry& e) {
        return static_cast<uint8_t>(e.content[depth]);
      };
      const auto above =
          std::partition_point(begin, end, [&](const Entry& e) { return at_depth(e) < byte; });
      const auto behind =
          std::partition_point(above, end, [&](const Entry& e) { return at_depth(e) == byte; });
      low = static_cast<uint32_t>(above - entries_.begin());
      high = static_cast<uint32_t>(behind - entries_.begin());
    }
    if (best != nullptr) return Match{position, best->content.size(), best->id};
  }
  return std::nullopt;
}

}  // namespace shoehorn
