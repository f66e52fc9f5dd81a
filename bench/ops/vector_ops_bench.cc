// The elementwise ops at the shapes of decode (1 row) and prefill (512 rows).
#include <benchmark/benchmark.h>

#include <vector>

#include "bench/ops/limits.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/softmax.h"
#include "ops/swiglu.h"

namespace shoehorn {
namespace {

void shapes(benchmark::internal::Benchmark* benchmark, std::vector<int64_t> columns) {
  for (const int64_t m : {1, 16, 512}) {
    for (const int64_t n : columns) benchmark->Args({m, n});
  }
  benchmark->Unit(benchmark::kMicrosecond)->UseRealTime();
}

void bm_rms_norm(benchmark::State& state) {
  const int threads = default_bench_threads();
  const int64_t m = state.range(0), h = state.range(1);
  std::vector<float> x(static_cast<size_t>(m * h), 1.0f), weight(static_cast<size_t>(h), 1.0f);
  for (auto _ : state) {
    rms_norm(bench_pool(threads), Tensor::matrix(x.data(), m, h), weight.data(), 1e-6f,
             Tensor::matrix(x.data(), m, h));
  }
  report(state, rms_norm_cost(m, h), threads);
}
BENCHMARK(bm_rms_norm)->Name("rms_norm")->Apply([](auto* b) { shapes(b, {576, 4096, 8192}); });

void bm_swiglu(benchmark::State& state) {
  const int threads = default_bench_threads();
  const int64_t m = state.range(0), f = state.range(1);
  std::vector<float> gate(static_cast<size_t>(m * f), 1.0f), up(gate), out(gate);
  for (auto _ : state) {
    swiglu(bench_pool(threads), Tensor::matrix(gate.data(), m, f), Tensor::matrix(up.data(), m, f),
           Tensor::matrix(out.data(), m, f));
  }
  report(state, swiglu_cost(m, f), threads);
}
BENCHMARK(bm_swiglu)->Name("swiglu")->Apply([](auto* b) { shapes(b, {1536, 14336, 22016}); });

// Columns: heads of 128 dimensions.
void bm_rope(benchmark::State& state) {
  const int threads = default_bench_threads();
  const int64_t m = state.range(0), heads = state.range(1), pairs = 64;
  std::vector<float> x(static_cast<size_t>(m * heads * 2 * pairs), 1.0f);
  std::vector<float> cosines(static_cast<size_t>(m * pairs), 0.6f), sines(cosines.size(), 0.8f);
  const Tensor tensor = {
      x.data(), DType::f32, 3, {m, heads, 2 * pairs}, {heads * 2 * pairs, 2 * pairs, 1}};
  for (auto _ : state) {
    rope(bench_pool(threads), tensor, Tensor::matrix(cosines.data(), m, pairs),
         Tensor::matrix(sines.data(), m, pairs), RopePairing::half);
  }
  report(state, rope_cost(m, heads, 2 * pairs), threads);
}
BENCHMARK(bm_rope)->Name("rope")->Apply([](auto* b) { shapes(b, {8, 64}); });

void bm_rope_angles(benchmark::State& state) {
  const int64_t m = state.range(0);
  const RopeTable table = rope_table(128, 10000);
  const std::vector<int32_t> positions(static_cast<size_t>(m), 12345);
  std::vector<float> cosines(static_cast<size_t>(m * 64)), sines(cosines.size());
  for (auto _ : state) {
    rope_angles(bench_pool(default_bench_threads()), positions, table,
                Tensor::matrix(cosines.data(), m, 64), Tensor::matrix(sines.data(), m, 64));
  }
}
BENCHMARK(bm_rope_angles)->Name("rope_angles")->Arg(1)->Arg(512)->UseRealTime();

void bm_softmax(benchmark::State& state) {
  const std::vector<float> x(static_cast<size_t>(state.range(0)), 1.0f);
  std::vector<float> out(x.size());
  for (auto _ : state) softmax(x, 0.7f, out);
  report(state, softmax_cost(state.range(0)), 1);
}
BENCHMARK(bm_softmax)->Name("softmax")->Arg(49152)->Arg(151936)->Unit(benchmark::kMicrosecond);

void bm_log_sum_exp(benchmark::State& state) {
  const std::vector<float> x(static_cast<size_t>(state.range(0)), 1.0f);
  for (auto _ : state) benchmark::DoNotOptimize(log_sum_exp(x));
}
BENCHMARK(bm_log_sum_exp)->Name("log_sum_exp")->Arg(151936)->Unit(benchmark::kMicrosecond);

void bm_argmax(benchmark::State& state) {
  std::vector<float> x(static_cast<size_t>(state.range(0)), 1.0f);
  x.back() = 2;
  for (auto _ : state) benchmark::DoNotOptimize(argmax(x));
}
BENCHMARK(bm_argmax)->Name("argmax")->Arg(151936)->Unit(benchmark::kMicrosecond);

// What a parallel region costs.
void bm_region(benchmark::State& state) {
  ThreadPool& pool = bench_pool(static_cast<int>(state.range(0)));
  for (auto _ : state) pool.run([](int) {});
}
BENCHMARK(bm_region)
    ->Name("thread_pool/region")
    ->Arg(1)
    ->Arg(2)
    ->Arg(default_bench_threads())
    ->UseRealTime();

}  // namespace
}  // namespace shoehorn
