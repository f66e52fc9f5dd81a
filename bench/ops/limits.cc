#include "bench/ops/limits.h"

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/cpu.h"
#include "bench/ops/fma_probe.h"
#include "ops/isa.h"
#include "plan/hardware.h"

namespace shoehorn {
namespace {

constexpr size_t kReadBytes = size_t{1} << 30;  // several times the largest caches

// 0 without vector instructions: a limit that nothing is measured against.
double measure_fma(ThreadPool& pool) {
  if (ops_isa() < Isa::avx2) return 0;
  const FmaProbe& probe = ops_isa() >= Isa::avx512 ? kFmaAvx512 : kFmaAvx2;
  constexpr int64_t kRounds = 1'000'000;
  double best = 0;
  for (int pass = 0; pass < 5; ++pass) {
    const Stopwatch clock;
    pool.run([&](int) { benchmark::DoNotOptimize(probe.run(kRounds)); });
    const auto flops = static_cast<double>(2 * kFmaChains * probe.lanes * kRounds);
    best = std::max(best, flops * pool.thread_count() / clock.seconds());
  }
  return best;
}

}  // namespace

ThreadPool& bench_pool(int threads) {
  static std::map<int, std::unique_ptr<ThreadPool>> pools;
  std::unique_ptr<ThreadPool>& pool = pools[threads];
  if (!pool) {
    pool = std::make_unique<ThreadPool>(threads, read_cpu_topology().usable_processors);
  }
  return *pool;
}

int default_bench_threads() {
  return default_thread_count(read_cpu_topology());
}

const Limits& limits(int threads) {
  static std::map<int, Limits> measured;
  const auto [at, is_new] = measured.try_emplace(threads);
  if (is_new) {
    const std::vector<std::byte> bytes(kReadBytes, std::byte{1});
    at->second = {measure_read_bandwidth(bench_pool(threads), bytes),
                  measure_fma(bench_pool(threads))};
  }
  return at->second;
}

void report(benchmark::State& state, const Cost& cost, int threads) {
  const auto rate = [&](double amount) {
    return benchmark::Counter(amount * static_cast<double>(state.iterations()),
                              benchmark::Counter::kIsRate);
  };
  state.counters["B/s"] = rate(cost.bytes);
  state.counters["flop/s"] = rate(cost.flops);
  state.counters["of_DRAM"] = rate(cost.bytes / limits(threads).read_bytes_per_s);
  if (limits(threads).fma_flops_per_s == 0) return;
  state.counters["of_FMA"] = rate(cost.flops / limits(threads).fma_flops_per_s);
}

}  // namespace shoehorn
