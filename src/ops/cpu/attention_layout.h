// How attention cuts its work into units, and where these and their results lie in the scratch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "ops/attention.h"
#include "ops/cpu/vector_kernels.h"

namespace shoehorn {

inline CacheType cache_type(DType dtype) {
  CHECK(dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16, "a cache of {}",
        name(dtype));
  return dtype == DType::f32   ? CacheType::f32
         : dtype == DType::f16 ? CacheType::f16
                               : CacheType::bf16;
}

inline constexpr int64_t kScratchAlignment = 64;

inline int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

inline int64_t chunks_of(int64_t tokens) {
  return (tokens + kAttentionChunk - 1) / kAttentionChunk;
}

// Up to kAttentionQueries query rows, row_count token rows x head_count query heads, that read the
// same KV head of the same sequence.
struct AttentionUnit {
  int32_t span = 0;
  int32_t kv_head = 0;
  int32_t first_row = 0;  // of the step
  int32_t row_count = 0;
  int32_t first_head = 0;
  int32_t head_count = 0;
  int32_t chunks = 0;
  int32_t unfinished = 0;   // chunks, if split
  int64_t first_task = 0;   // one task, or one a chunk if split
  int64_t first_slot = -1;  // one slot a query row and chunk; -1: not split

  int64_t queries() const { return int64_t{row_count} * head_count; }
  bool split() const { return first_slot >= 0; }
};

// Split chunks in flight a thread; more of them make longer regions, and need more scratch.
inline constexpr int64_t kSlotsPerThread = 16;

// Results of `capacity` query rows over one chunk each.
struct AttentionSlots {
  float* maxima = nullptr;
  float* sums = nullptr;
  float* weighted = nullptr;  // [capacity, padded_dim]

  AttentionSlots from(int64_t row, int64_t padded_dim) const {
    return {maxima + row, sums + row, weighted + row * padded_dim};
  }
  AttentionPartial row(int64_t i, int64_t padded_dim) const {
    return {maxima + i, sums + i, weighted + i * padded_dim};
  }
};

// Where everything lies in the scratch.
class AttentionLayout {
 public:
  AttentionLayout(int threads, int64_t m, int64_t heads, int64_t head_dim, int64_t max_context)
      : threads_(threads), padded_dim_(round_up(head_dim, kAttentionPadding)) {
    const int64_t chunks = chunks_of(max_context);
    // At least the longest unit must fit.
    slot_capacity_ = std::min(m * heads * chunks,
                              kAttentionQueries * std::max(chunks, kSlotsPerThread * threads));
    units_bytes_ =
        round_up(m * heads * static_cast<int64_t>(sizeof(AttentionUnit)), kScratchAlignment);
  }

  int64_t padded_dim() const { return padded_dim_; }
  int64_t slot_capacity() const { return slot_capacity_; }
  int64_t bytes() const {
    return units_bytes_ + slots_bytes(slot_capacity_) + threads_ * thread_bytes();
  }

  AttentionUnit* units(std::byte* scratch) const {
    return reinterpret_cast<AttentionUnit*>(scratch);
  }
  AttentionSlots shared_slots(std::byte* scratch) const {
    return slots(scratch + units_bytes_, slot_capacity_);
  }

  struct ThreadScratch {
    AttentionSlots running;  // of a unit that is not split
    AttentionSlots chunk;
    float* queries = nullptr;
    float* scores = nullptr;
    float* tile = nullptr;
    int32_t* limits = nullptr;
  };
  ThreadScratch thread_scratch(std::byte* scratch, int thread) const {
    std::byte* at = scratch + units_bytes_ + slots_bytes(slot_capacity_) + thread * thread_bytes();
    ThreadScratch s;
    s.running = slots(at, kAttentionQueries);
    at += slots_bytes(kAttentionQueries);
    s.chunk = slots(at, kAttentionQueries);
    at += slots_bytes(kAttentionQueries);
    s.queries = reinterpret_cast<float*>(at);
    s.scores = s.queries + kAttentionQueries * padded_dim_;
    s.tile = s.scores + kAttentionQueries * kAttentionScores;
    s.limits = reinterpret_cast<int32_t*>(s.tile + kAttentionTile * padded_dim_);
    return s;
  }

 private:
  int64_t slots_bytes(int64_t capacity) const {
    return 2 * round_up(capacity * 4, kScratchAlignment) + capacity * padded_dim_ * 4;
  }
  AttentionSlots slots(std::byte* at, int64_t capacity) const {
    const int64_t row_bytes = round_up(capacity * 4, kScratchAlignment);
    return {reinterpret_cast<float*>(at), reinterpret_cast<float*>(at + row_bytes),
            reinterpret_cast<float*>(at + 2 * row_bytes)};
  }
  int64_t thread_bytes() const {
    const int64_t floats =
        kAttentionQueries * (padded_dim_ + kAttentionScores + 1) + kAttentionTile * padded_dim_;
    return 2 * slots_bytes(kAttentionQueries) + round_up(floats * 4, kScratchAlignment);
  }

  int64_t threads_;
  int64_t padded_dim_;
  int64_t slot_capacity_ = 0;
  int64_t units_bytes_ = 0;
};

}  // namespace shoehorn
