// Finds added tokens in raw text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tokenizer.h"

namespace shoehorn {

// The longest content that is accepted: a match costs up to this many steps wherever one may begin.
inline constexpr size_t kMostAddedTokenBytes = 1024;

class AddedTokenMatcher {
 public:
  // REQUIRES: contents of 1 to kMostAddedTokenBytes bytes.
  explicit AddedTokenMatcher(const std::vector<AddedToken>& tokens, bool special_too);

  struct Match {
    size_t position;
    size_t size;
    int32_t id;
  };
  // The leftmost match at or after `from`, the longest of those that begin there.
  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  struct Entry {
    std::string content;
    int32_t id;
  };
  std::vector<Entry> entries_;              // by content
  std::array<uint32_t, 257> first_byte_{};  // entries that begin with byte b: [b, b + 1)
};

}  // namespace shoehorn
