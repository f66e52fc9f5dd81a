// Linear layers at the shapes of real models, beside the bandwidth of DRAM and the rate of float
// multiply-adds: whole weights, in precise mode, and cut into parts of 512 neurons as a
// feed-forward of neuron groups is.
//
//   ops_bench --benchmark_filter='linear/int4 g32 f16/.*22016'
//   ops_bench --benchmark_filter='linear_.*_parts'
//
// Arguments: rows, columns, m (activation rows), threads. Several copies of the weight, together
// larger than the caches, are used in turn, so that every pass reads DRAM as decoding does.
#include <benchmark/benchmark.h>

#include <span>
#include <string>
#include <vector>

#include "bench/ops/limits.h"
#include "ops/linear.h"
#include "tests/ops/weight_maker.h"

namespace shoehorn {
namespace {

constexpr int64_t kRotatedBytes = int64_t{512} << 20;

enum class Kind { whole, precise, row_parts, column_parts };
constexpr int64_t kPartNeurons = 512;

// The pointers of a weight cut by rows or columns. Its bytes are random: any part of them will do.
std::vector<const std::byte*> part_pointers(const Weight& weight, Kind kind) {
  const bool by_rows = kind == Kind::row_parts;
  const int64_t count = (by_rows ? weight.rows : weight.columns) / kPartNeurons;
  std::vector<const std::byte*> parts;
  for (int64_t p = 0; p < count; ++p) {
    parts.push_back(weight.data + p * weight.size_bytes() / count);
  }
  return parts;
}

void multiply(ThreadPool& pool, const ActivationRows& x, const Weight& weight, Kind kind,
              std::span<const std::byte* const> parts, const Tensor& output) {
  switch (kind) {
    case Kind::row_parts: {
      const RowPartsTask task = {{weight.format, kPartNeurons, weight.columns, parts}, output};
      return linear_row_parts(pool, x, {&task, 1});
    }
    case Kind::column_parts:
      return linear_column_parts(pool, x, {weight.format, weight.rows, kPartNeurons, parts}, output,
                                 OutputMode::store);
    default:
      return linear(pool, x, {{.weight = &weight, .output = output}});
  }
}

void bm_linear(benchmark::State& state, const Format& format, Kind kind) {
  const int64_t rows = state.range(0), columns = state.range(1), m = state.range(2);
  const int threads = static_cast<int>(state.range(3));
  ThreadPool& pool = bench_pool(threads);
  const int64_t copies = std::max<int64_t>(1, kRotatedBytes / size_bytes(format, rows, columns));
  std::vector<OwnedWeight> weights;
  std::vector<std::vector<const std::byte*>> parts;
  for (int64_t i = 0; i < copies; ++i) {
    weights.push_back(make_weight(format, rows, columns, i));
    parts.push_back(part_pointers(weights.back().weight, kind));
  }

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
    const ActivationRows ready = prepare_activations(
        pool, input, scratch.bytes(), kind == Kind::precise ? Precision::full : Precision::fast);
    multiply(pool, ready, weights[next].weight, kind, parts[next], output);
    next = (next + 1) % weights.size();
  }
  report(state, linear_cost(weights[0].weight, m), threads);
}

benchmark::internal::Benchmark* add(const std::string& title, const Format& format, Kind kind) {
  return benchmark::RegisterBenchmark((title + "/" + name(format)).c_str(), bm_linear, format, kind)
      ->ArgNames({"rows", "columns", "m", "threads"})
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime()
      ->MinTime(0.3);
}

void register_all() {
  const Format int4 = {Storage::grouped, 4, 32, ScaleEncoding::f16, CodeMeaning::symmetric};
  const std::vector<Format> formats = {
      int4,
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
    auto* bench = add("linear", format, Kind::whole);
    for (const auto& [rows, columns] :
         {std::pair<int64_t, int64_t>{1536, 768}, {11008, 4096}, {22016, 8192}, {8192, 22016}}) {
      for (const int64_t m : {1, 4, 8, 16, 32, 64, 512}) {
        bench->Args({rows, columns, m, all});
        if (m <= 8 && all > 1) bench->Args({rows, columns, m, 1});
      }
    }
  }
  auto* precise = add("linear_precise", int4, Kind::precise);
  auto* row_parts = add("linear_row_parts", int4, Kind::row_parts);
  auto* column_parts = add("linear_column_parts", int4, Kind::column_parts);
  for (const int64_t m : {1, 4, 8, 16, 64}) {
    precise->Args({22016, 8192, m, all});
    row_parts->Args({22016, 8192, m, all});
    column_parts->Args({8192, 22016, m, all});
  }
}

[[maybe_unused]] const bool registered = (register_all(), true);

}  // namespace
}  // namespace shoehorn
