// VramPool: VRAM for what comes and goes while a model is served: caches of sequences, workspaces
// of requests, weights that move. Taken from the card once; giving out a block calls the driver
// only where no free range holds it.
//
//   auto pool = TRY(VramPool::create(budget, size_bytes, may_join));
//   VramBlock cache = TRY(pool->allocate(size_bytes, stream, "a sequence's cache"));
//   ... queue kernels on stream that use cache.data() ...
//   cache = {};                                   // given back behind what `stream` has queued
//
// Blocks are cut by best fit from one range of addresses. Who can use memory in pieces, as a paged
// cache can, asks for pieces of one size, which fit into each other's places.
//
// A pool that may join has an answer where free bytes suffice but no range of them does: the card's
// virtual memory shows several as one. Its memory is made of 2 MiB pieces, which are mapped a
// second time, side by side (see range_allocator.h); their first mapping stays, so nothing is moved
// or copied. That has its price: mapping takes 30 microseconds a piece, and small pieces cost the
// card an eighth to a quarter of its copying rate (bench/results/vram-pool-h100.md). Cards and
// drivers without virtual memory get a pool that does not join.
//
// Stream order: memory that was given back behind a stream's work is used by that stream at once; a
// block for another stream makes that stream wait for it, on the card, not the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "memory/range_allocator.h"
#include "memory/vram_budget.h"

using cudaStream_t = struct CUstream_st*;
using cudaEvent_t = struct CUevent_st*;

namespace shoehorn {

class VramPool;
class VramSpace;

// A block of a pool, which outlives it.
class VramBlock {
 public:
  VramBlock() = default;
  VramBlock(VramBlock&& other) noexcept { swap(other); }
  VramBlock& operator=(VramBlock&& other) noexcept {
    VramBlock taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~VramBlock();

  // The block is given back behind the work of this stream, in place of the one it was made for.
  void used_by(cudaStream_t stream) { stream_ = stream; }

  std::byte* data() const { return data_; }
  uint64_t size_bytes() const { return size_bytes_; }
  std::span<std::byte> bytes() const { return {data_, size_bytes_}; }

 private:
  friend class VramPool;
  void swap(VramBlock& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(data_, other.data_);
    std::swap(size_bytes_, other.size_bytes_);
    std::swap(stream_, other.stream_);
  }
  VramPool* pool_ = nullptr;
  std::byte* data_ = nullptr;
  uint64_t size_bytes_ = 0;
  cudaStream_t stream_ = nullptr;
};

class VramPool {
 public:
  // Takes size_bytes from `budget`, which outlives the pool, and from the current card; whole
  // pieces of 2 MiB if it joins. Errors: the budget; the card.
  static Result<std::unique_ptr<VramPool>> create(VramBudget& budget, uint64_t size_bytes,
                                                  bool may_join);
  ~VramPool();
  VramPool(const VramPool&) = delete;
  VramPool& operator=(const VramPool&) = delete;

  // size_bytes > 0; 256-byte aligned; nothing is said about the contents. `purpose` names it in
  // errors. Errors: no room; the driver refuses to join what is free.
  Result<VramBlock> allocate(uint64_t size_bytes, cudaStream_t stream, const char* purpose);

  PoolStatistics statistics() const { return ranges_.statistics(); }
  bool joins() const;

 private:
  friend class VramBlock;
  // Given back, but a stream may still work on it.
  struct Pending {
    std::vector<Range> ranges;
    cudaStream_t stream = nullptr;
    cudaEvent_t done = nullptr;
    std::byte* joined = nullptr;  // to be parted then
  };

  VramPool(VramBudget& budget, std::unique_ptr<VramSpace> space, const RangeOptions& options);
  void give_back(std::byte* data, cudaStream_t stream);
  void collect();  // what is done of pending_
  void finish(Pending& pending);
  void wait_for_others(const std::vector<Range>& ranges, cudaStream_t stream);
  cudaEvent_t take_event();

  VramBudget& budget_;
  std::unique_ptr<VramSpace> space_;
  RangeAllocator ranges_;
  std::list<Pending> pending_;  // the oldest first
  std::vector<cudaEvent_t> events_;
  std::unordered_map<std::byte*, uint64_t> joined_;  // address -> begin of the block's first range
};

}  // namespace shoehorn
