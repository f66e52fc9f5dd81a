// RangeAllocator: which bytes of a pool are whose. Bookkeeping alone: it touches no memory, so one
// body serves VRAM, host memory and tests.
//
// Best fit with coalescing: a block is one range, cut from the smallest free range that holds it,
// small blocks from its end and others from its beginning, so that each kind gathers on its side.
// Where none does, and ranges can be joined (virtual memory maps pieces next to each other), a
// block is made of several: whole granules, but that the first piece may begin and the last may end
// within one, as the pieces are neighbours only where they meet at granules' ends. (Joining after
// the fact, and not always, is GMLake's way: Guo et al. 2024, "GPU memory defragmentation [...]
// with virtual memory stitching".)
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"

namespace shoehorn {

struct Range {
  uint64_t begin = 0;
  uint64_t size = 0;
  uint64_t end() const { return begin + size; }
  bool operator==(const Range&) const = default;
};

struct RangeOptions {
  uint64_t size_bytes = 0;  // the budget
  uint64_t alignment = 256;
  uint64_t granule_bytes = 0;  // ranges are joined at its multiples; 0: never
  uint64_t small_bytes = 0;    // blocks below this are small
};

struct PoolStatistics {
  uint64_t budget_bytes = 0;
  uint64_t asked_bytes = 0;     // of the blocks that live
  uint64_t reserved_bytes = 0;  // by them, rounding included
  uint64_t peak_reserved_bytes = 0;
  uint64_t free_bytes = 0;
  uint64_t largest_free_bytes = 0;   // the largest free range
  uint64_t largest_block_bytes = 0;  // the largest block that can be had, joined or not
  int64_t blocks = 0;
  int64_t joined_blocks = 0;  // of them
  int64_t joined_in_all = 0;  // since the beginning
  int64_t free_ranges = 0;

  // Free, and of no use to whoever asks for the largest block that could be there.
  uint64_t unusable_bytes() const { return free_bytes - largest_block_bytes; }
};

class RangeAllocator {
 public:
  explicit RangeAllocator(const RangeOptions& options);

  // The ranges of a new block of size_bytes > 0, in its order; the last may be longer than asked
  // for. `purpose` names it in errors. Errors: not enough room; says how much there is.
  Result<std::vector<Range>> take(uint64_t size_bytes, const char* purpose);
  // `begin`: of the block's first range. Returns its ranges. CHECK: the block lives.
  std::vector<Range> give_back(uint64_t begin);

  PoolStatistics statistics() const;

 private:
  struct Block {
    std::vector<Range> ranges;
    uint64_t asked_bytes = 0;
  };
  // A free range as a piece of a joined block.
  struct Hole {
    Range range;
    uint64_t head = 0;   // bytes before the first multiple of the granule
    uint64_t whole = 0;  // whole granules
    uint64_t tail = 0;   // bytes behind the last multiple
  };

  std::vector<Hole> holes() const;
  std::vector<Range> join(uint64_t size_bytes) const;  // empty: not enough
  uint64_t largest_joined() const;
  void insert_free(Range range);
  void remove_free(Range range);
  void cut(Range range);  // out of the free range that holds it

  RangeOptions options_;
  std::map<uint64_t, uint64_t> free_;                   // begin -> size
  std::set<std::pair<uint64_t, uint64_t>> free_sizes_;  // (size, begin)
  std::unordered_map<uint64_t, Block> blocks_;          // by the first range's begin
  PoolStatistics statistics_;                           // the part that is kept up
};

}  // namespace shoehorn
