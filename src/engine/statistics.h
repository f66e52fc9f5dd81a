// One line about how fast an answer was, beside the limit of the hardware.
#pragma once

#include <string>

#include "engine/token_path.h"
#include "plan/hardware.h"

namespace shoehorn {

// Bytes that one decode step of one sequence with `context` cached tokens must read, over seconds a
// step, as a share of `read_bytes_per_s`. 0 where nothing was generated.
double bandwidth_share(const Engine& engine, const SequenceStatistics& statistics, int64_t context,
                       double read_bytes_per_s);

// Bytes per second that reading the weights themselves reaches on all threads of the pool: the
// limit of decoding where everything is in host memory. 0 where no weights are.
double weight_read_bandwidth(ThreadPool& pool, const Engine& engine);

// "prompt 34 tokens in 0.05 s (680/s); answer 120 tokens at 210/s, 71 % of the memory-bandwidth
// limit (36 GB/s)".
std::string describe(const Engine& engine, const SequenceStatistics& statistics, int64_t context,
                     double read_bytes_per_s);

}  // namespace shoehorn
