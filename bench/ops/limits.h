// The two limits of this machine that a speed stands beside: reading from DRAM, and fused
// multiply-adds of floats. Measured once a thread count.
#pragma once

#include <benchmark/benchmark.h>

#include "base/thread_pool.h"
#include "ops/cost.h"

namespace shoehorn {

struct Limits {
  double read_bytes_per_s = 0;
  double fma_flops_per_s = 0;  // of the vector ops' instruction set
};

// A pool of `threads` threads, pinned, kept for the whole program.
ThreadPool& bench_pool(int threads);
int default_bench_threads();
const Limits& limits(int threads);

// Counters of a benchmark whose every iteration costs `cost`: GB/s, GFLOP/s, and each as a share of
// its limit.
void report(benchmark::State& state, const Cost& cost, int threads);

}  // namespace shoehorn
