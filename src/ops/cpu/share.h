// Work too small for a parallel region (1 to 2 microseconds) stays on the calling thread.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"

namespace shoehorn {

// Numbers that one core reads, computes and writes in about the time a region costs.
inline constexpr int64_t kSerialNumbers = 8192;

// body(begin, end) over [0, count) items of `item_numbers` numbers each.
template <typename Body>
void share_work(ThreadPool& pool, int64_t count, int64_t item_numbers, const Body& body) {
  if (count * item_numbers <= kSerialNumbers) {
    if (count > 0) body(int64_t{0}, count);
    return;
  }
  pool.parallel_for(count, body);
}

}  // namespace shoehorn
