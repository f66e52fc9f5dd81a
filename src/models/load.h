// Loading: a checkpoint's tensors repacked once into blocks in host memory.
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

// Repacks every tensor on all threads; pages of the file are given back as soon as they are read,
// so that the process never holds two copies. Errors: a missing or misshapen tensor; not enough
// address space.
Result<std::unique_ptr<WeightSource>> load_resident(ThreadPool& pool, const Checkpoint& checkpoint,
                                                    const ModelLayout& layout,
                                                    const LoadProgress& progress);

}  // namespace shoehorn
