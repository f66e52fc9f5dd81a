// Linear layers at the shapes of real models, beside the bandwidth of DRAM and the rate of float
// multiply-adds.
//
//   ops_bench --benchmark_filter='linear/int4 g32 f16/.*22016'
//
// Arguments: rows, columns, m (activation rows), threads. Several copies of the weight, together
// larger than the caches, are used in turn, so that every pass reads DRAM as decoding does.
#include <benchmark/benchmark.h>

#include <vector>

#include "bench/ops/limits.h"
#include "ops/linear.h"
#include "tests/ops/weight_maker.h"

namespace shoehorn {
namespace {

constexpr int64_t kRotatedBytes = int64_t{512} << 20;

void bm_linear(benchmark::State& state, const Format& format) {
  const int64_t rows = state.range(0), columns = state.range(1), m = state.range(2);
  const int threads = static_cast<int>(state.range(3));
  ThreadPool& pool = bench_pool(threads);
  const int64_t copies = std::max<int64_t>(1, kRotatedBytes / size_bytes(format, rows, columns));
  std::vector<OwnedWeight> weights;
  for (int64_t i = 0; i < copies; ++i) weights.push_back(make_weight(format, rows, columns, i));

  Random random(5);
  std::vector<float> x(static_cast<size_t>(m * columns)), y(static_cast<size_t>(m * rows));
  for (float& value : x) value = random.uniform(-1.0f, 1.0f);
  const HostBuffer scratch =
      HostBuffer::create(static_cast<uint64_t>(activation_scratch_bytes(m, columns)), "scratch")
          .value();
  const Tensor input = Tensor::matrix(x.data(), m, columns);
  const Tensor output = Tensor::matrix(y.data(), m, rows);
  size_t next = 0;
  for (auto _ : state) {
    const ActivationRows ready = prepare_activations(pool, input, scratch.bytes(), Precision::fast);
    linear(pool, ready, {{.weight = &weights[next].weight, .output = output}});
    next = (next + 1) % weights.size();
  }
  report(state, linear_cost(weights[0].weight, m), threads);
}

void register_all() {
  const std::vector<Format> formats = {
      {Storage::grouped, 4, 32, ScaleEncoding::f16, CodeMeaning::symmetric},
      {Storage::grouped, 4, 32, ScaleEncoding::f16, CodeMeaning::with_minimum},
      {Storage::grouped, 4, 128, ScaleEncoding::f16, CodeMeaning::symmetric},
      {Storage::grouped, 4, 32, ScaleEncoding::two_level, CodeMeaning::with_minimum},
      {Storage::grouped, 3, 32, ScaleEncoding::f16, CodeMeaning::symmetric},
      {Storage::grouped, 6, 16, ScaleEncoding::two_level, CodeMeaning::symmetric},
      {Storage::grouped, 8, 32, ScaleEncoding::f16, CodeMeaning::symmetric},
      kBf16,
      kF32};
  const int all = default_bench_threads();
  for (const Format& format : formats) {
    auto* bench =
        benchmark::RegisterBenchmark(("linear/" + name(format)).c_str(), bm_linear, format);
    for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{1536, 768},
                                        {11008, 4096},
                                        {22016, 8192},
                                        {8192, 22016 / 256 * 256}}) {
      for (const int64_t m : {1, 4, 8, 16, 512}) {
        bench->Args({rows, columns, m, all});
        if (m <= 8 && all > 1) bench->Args({rows, columns, m, 1});
      }
    }
    bench->ArgNames({"rows", "columns", "m", "threads"})
        ->Unit(benchmark::kMicrosecond)
        ->UseRealTime()
        ->MinTime(0.3);
  }
}

[[maybe_unused]] const bool registered = (register_all(), true);

}  // namespace
}  // namespace shoehorn
