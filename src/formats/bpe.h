// Byte-pair encoding of one piece of text, and the tables that it needs.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/tokenizer.h"

namespace shoehorn {

uint64_t hash_bytes(std::string_view bytes);

// The bytes of every token by id, and the ids of plain tokens (no added one, no padding row) by
// their bytes.
class TokenTable {
 public:
  // `is_plain` by id. Errors: too many bytes.
  static Result<TokenTable> create(const TokenizerData& data, const std::vector<bool>& is_plain);

  int32_t size() const { return static_cast<int32_t>(ends_.size()) - 1; }
  std::string_view bytes(int32_t id) const {  // REQUIRES: 0 <= id < size()
    return {bytes_.data() + ends_[id], ends_[id + 1] - ends_[id]};
  }
  int32_t find(std::string_view bytes) const;  // -1: no plain token

 private:
  struct Slot {
    uint32_t hash = 0;  // the upper half, which spares most looks at the bytes
    int32_t id = -1;    // -1: free
  };
  void insert(int32_t id);

  std::string bytes_;
  std::vector<uint32_t> ends_;  // token id: bytes_[ends_[id] .. ends_[id + 1])
  std::vector<Slot> slots_;     // open addressing, at most two thirds full
};

// What encoding one piece needs besides the tables; one per thread, kept for its memory.
struct BpeScratch {
  struct Symbol {
    int32_t id;
    uint32_t previous;
    uint32_t next;
    uint32_t rank;   // of the merge with the next symbol
    int32_t merged;  // that merge's token
  };
  std::vector<Symbol> symbols;
  std::vector<uint64_t> heap;  // rank << 32 | index of the left symbol
};

class Bpe {
 public:
  // Errors: a merge that is not two known tokens making a third.
  static Result<Bpe> create(const TokenizerData& data, const TokenTable& tokens);

  // Merges the pair of lowest rank, leftmost first, until none is left; O(n log n). Bytes without a
  // token are dropped before, as Hugging Face drops them.
  void encode(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& ids) const;

  int32_t byte_token(uint8_t byte) const { return byte_tokens_[byte]; }  // -1: none

 private:
  struct Merge {
    uint64_t pair = kNoPair;  // left id << 32 | right id
    uint32_t rank = 0;
    int32_t merged = -1;
  };
  static constexpr uint64_t kNoPair = ~uint64_t{0};
  static constexpr uint32_t kNoRank = ~uint32_t{0};

  const Merge* find(int32_t left, int32_t right) const;
  void insert(const Merge& merge);
  void rank_pair(BpeScratch& scratch, uint32_t left) const;

  std::array<int32_t, 256> byte_tokens_{};
  std::vector<Merge> merges_;  // open addressing, at most two thirds full
};

}  // namespace shoehorn
