// Loading: a checkpoint's tensors repacked once from the file's layout into blocks in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"
#include "base/thread_pool.h"
#include "formats/checkpoint.h"
#include "memory/weight_source.h"
#include "models/layout.h"

namespace shoehorn {

// Called after each tensor with bytes written so far and in all.
using LoadProgress = std::function<void(uint64_t done_bytes, uint64_t total_bytes)>;

// Where the bytes of one block are written: those before `boundary` to `near`, those from there on
// to `far`, and those from `last_boundary` on to `last`. Boundaries lie between neuron groups (or
// are 0, or the block's end).
struct BlockTarget {
  std::byte* near = nullptr;
  std::byte* far = nullptr;
  uint64_t boundary = 0;
  std::byte* last = nullptr;
  uint64_t last_boundary = UINT64_MAX;
  std::byte* at(uint64_t offset) const {
    if (offset < boundary) return near + offset;
    return offset < last_boundary ? far + (offset - boundary) : last + (offset - last_boundary);
  }
};

// Takes blocks one after the other: embedding and head, then the layers' in the layout's order.
// (The largest come first, while nothing else is in memory.)
class WeightSink {
 public:
  virtual ~WeightSink() = default;
  // Errors: no memory for the block.
  virtual Result<BlockTarget> begin(int block) = 0;
  // The block's bytes are written.
  virtual Result<void> end(int block) = 0;
};

// Repacks every tensor on all threads; pages of the file are given back as soon as they are read,
// so that the process never holds two copies. Errors: a missing or misshapen tensor; the sink's.
Result<void> load_weights(ThreadPool& pool, const Checkpoint& checkpoint, const ModelLayout& layout,
                          WeightSink& sink, const LoadProgress& progress);

// All blocks into host memory, to stay. Errors: not enough address space.
Result<std::unique_ptr<WeightSource>> load_resident(ThreadPool& pool, const Checkpoint& checkpoint,
                                                    const ModelLayout& layout,
                                                    const LoadProgress& progress);

}  // namespace shoehorn
