// The graphics cards of this machine, as the driver reports them. Without a card, a driver, or a
// build with CUDA, there are none.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace shoehorn {

struct GpuFacts {
  int index = 0;
  std::string name;
  int compute_capability = 0;  // 89 for 8.9
  int multiprocessors = 0;
  uint64_t total_bytes = 0;  // of VRAM
  uint64_t l2_bytes = 0;
};

// How many cards can be used; `why_none` says what is missing where it is 0.
int gpu_count();
std::string why_no_gpu();

// Errors: no such card. Does not open it: no memory is taken on the card.
Result<GpuFacts> gpu_facts(int index);

// VRAM that the driver counts for this process on the card: context, code, libraries, allocations.
// Errors: the driver's management library (NVML) is missing or does not say.
Result<uint64_t> gpu_process_bytes(int index);

}  // namespace shoehorn
