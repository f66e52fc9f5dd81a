// How fast the CPU reads its memory and multiplies by weights in it, measured.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "plan/hardware.h"
#include "plan/machine.h"

namespace shoehorn {

struct CpuProbe {
  int threads = 0;                 // that compute by default
  std::vector<ReadRate> read;      // by 1, 2, 4, ... threads
  std::vector<LinearRate> linear;  // by all threads, of 1, 2, 4, ... 64 rows
};

struct CpuProbeOptions {
  uint64_t sample_bytes = 0;      // of weights; 0: as much as no cache holds, where it is free
  double seconds_per_rate = 0.2;  // of each linear rate
};

// Takes a few seconds. Errors: too little memory.
Result<CpuProbe> probe_cpu(const HostFacts& host, const CpuProbeOptions& options);

}  // namespace shoehorn
