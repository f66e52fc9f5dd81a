// Decode: bound by reading the cache once. Prefill: bound by fused multiply-adds.
#include <benchmark/benchmark.h>

#include "bench/ops/limits.h"
#include "ops/attention.h"
#include "tests/ops/attention_problem.h"

namespace shoehorn {
namespace {

void run_attention(benchmark::State& state, const AttentionShape& shape, int threads) {
  ThreadPool& pool = bench_pool(threads);
  AttentionProblem problem(shape);
  int64_t longest = 0;
  for (const SpanShape& span : shape.spans) {
    longest = std::max(longest, span.first_position + span.row_count);
  }
  const int64_t scratch_bytes =
      attention_scratch_bytes(threads, problem.m, shape.heads, shape.head_dim, longest);
  std::vector<std::byte> buffer(static_cast<size_t>(scratch_bytes) + 64);
  const auto address = reinterpret_cast<uintptr_t>(buffer.data());
  const std::span scratch(buffer.data() + (64 - address % 64) % 64,
                          static_cast<size_t>(scratch_bytes));
  std::vector<float> out(problem.q.size());
  const AttentionArguments arguments = {.q = problem.heads_of(problem.q, shape.heads),
                                        .out = problem.heads_of(out, shape.heads),
                                        .scale = problem.scale};
  for (auto _ : state) attention(pool, problem.layer, arguments, problem.spans, scratch);
  report(state, attention_cost(problem.layer, shape.heads, problem.spans), threads);
}

struct Heads {
  const char* model;
  int64_t heads, kv_heads, head_dim;
};
constexpr Heads kModels[] = {{"smollm2-135m", 9, 3, 64},
                             {"distill-llama-8b", 32, 8, 128},
                             {"deepseek-7b", 32, 32, 128},
                             {"deepseek-67b", 64, 8, 128}};

void register_case(const std::string& name, const AttentionShape& shape, int threads) {
  benchmark::RegisterBenchmark(
      (name + "/threads:" + std::to_string(threads)).c_str(),
      [shape, threads](benchmark::State& state) { run_attention(state, shape, threads); })
      ->Unit(benchmark::kMicrosecond)
      ->UseRealTime();
}

[[maybe_unused]] const bool registered = [] {
  std::vector<int> thread_counts = {1};
  if (default_bench_threads() > 1) thread_counts.push_back(default_bench_threads());
  for (const Heads& model : kModels) {
    const auto shape = [&](std::vector<SpanShape> spans) {
      return AttentionShape{model.heads, model.kv_heads,  model.head_dim, DType::f16,
                            16,          std::move(spans)};
    };
    const std::string name = std::string("attention/") + model.model;
    for (const int threads : thread_counts) {
      for (const int64_t context : {256, 4096, 32768}) {
        register_case(name + "/decode:" + std::to_string(context), shape({{context - 1, 1}}),
                      threads);
      }
      register_case(name + "/decode16:1024", shape(std::vector<SpanShape>(16, SpanShape{1023, 1})),
                    threads);
      for (const int64_t first : {0, 3584}) {
        register_case(name + "/prefill512:" + std::to_string(first), shape({{first, 512}}),
                      threads);
      }
    }
  }
  return true;
}();

}  // namespace
}  // namespace shoehorn
