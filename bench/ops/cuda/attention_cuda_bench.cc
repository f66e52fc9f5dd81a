// Attention on a card at the shapes of real models. Decoding is bound by reading the cache once and
// stands beside what the card's memory can deliver in theory; prefill is bound by products and
// stands beside a large product of the vendor's library. Calls are replayed as a graph over several
// layers, so that what a call reads is not what the last one left in L2.
#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/cuda_check.h"
#include "base/random.h"
#include "ops/attention.h"
#include "tests/ops/cuda/on_card.h"

namespace shoehorn {
namespace {

constexpr int64_t kPageTokens = 64;
constexpr size_t kColdBytes = size_t{160} << 20;  // several times an L2

// Median seconds of what `queue` queues, captured once and replayed as a graph.
template <typename Queue>
double seconds_of(Gpu& gpu, const Queue& queue) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  CUDA_CHECK(cudaStreamBeginCapture(gpu.stream(), cudaStreamCaptureModeGlobal));
  queue();
  CUDA_CHECK(cudaStreamEndCapture(gpu.stream(), &graph));
  CUDA_CHECK(cudaGraphInstantiate(&executable, graph, 0));
  cudaEvent_t begin = nullptr, end = nullptr;
  CUDA_CHECK(cudaEventCreate(&begin));
  CUDA_CHECK(cudaEventCreate(&end));
  CUDA_CHECK(cudaGraphLaunch(executable, gpu.stream()));
  std::vector<float> times;
  for (int round = 0; round < 7; ++round) {
    CUDA_CHECK(cudaEventRecord(begin, gpu.stream()));
    CUDA_CHECK(cudaGraphLaunch(executable, gpu.stream()));
    CUDA_CHECK(cudaEventRecord(end, gpu.stream()));
    CUDA_CHECK(cudaEventSynchronize(end));
    times.emplace_back();
    CUDA_CHECK(cudaEventElapsedTime(&times.back(), begin, end));
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
  std::sort(times.begin(), times.end());
  return static_cast<double>(times[times.size() / 2]) / 1000;
}

// Random f16 numbers in -1..1, the same 8 MiB again and again.
OnCard<std::byte> random_numbers(size_t bytes) {
  static const std::vector<uint16_t> numbers = [] {
    Random random(3);
    std::vector<uint16_t> values(size_t{4} << 20);
    for (uint16_t& x : values) x = float_to_f16(random.uniform(-1.0f, 1.0f));
    return values;
  }();
  OnCard<std::byte> card(bytes);
  const size_t block = numbers.size() * sizeof(uint16_t);
  for (size_t at = 0; at < bytes; at += block) {
    CUDA_CHECK(cudaMemcpy(card.data() + at, numbers.data(), std::min(block, bytes - at),
                          cudaMemcpyHostToDevice));
  }
  CUDA_CHECK(cudaDeviceSynchronize());
  return card;
}

struct Limits {
  double read_bytes_per_s;
  double product_flops_per_s;
};

Limits measure_limits(Gpu& gpu) {
  int kilohertz = 0, bits = 0;
  CUDA_CHECK(cudaDeviceGetAttribute(&kilohertz, cudaDevAttrMemoryClockRate, 0));
  CUDA_CHECK(cudaDeviceGetAttribute(&bits, cudaDevAttrGlobalMemoryBusWidth, 0));
  constexpr int kSize = 8192;
  constexpr size_t kBytes = size_t{2} * kSize * kSize;
  const OnCard<std::byte> a = random_numbers(kBytes), b = random_numbers(kBytes), c(kBytes);
  const OnCard<std::byte> workspace(size_t{64} << 20);  // a graph may not allocate
  cublasHandle_t blas = nullptr;
  CHECK(cublasCreate(&blas) == CUBLAS_STATUS_SUCCESS, "cuBLAS");
  cublasSetStream(blas, gpu.stream());
  cublasSetWorkspace(blas, workspace.data(), workspace.size());
  const float one = 1, zero = 0;
  const double seconds = seconds_of(gpu, [&] {
    cublasGemmEx(blas, CUBLAS_OP_T, CUBLAS_OP_N, kSize, kSize, kSize, &one, a.data(), CUDA_R_16F,
                 kSize, b.data(), CUDA_R_16F, kSize, &zero, c.data(), CUDA_R_16F, kSize,
                 CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
  });
  cublasDestroy(blas);
  return {2.0 * kilohertz * 1e3 * bits / 8, 2.0 * kSize * kSize * kSize / seconds};
}

struct Shape {
  int64_t heads, kv_heads, head_dim;
  std::vector<AttentionSpan> spans;  // without pages
  int64_t rows() const { return spans.back().first_row + spans.back().row_count; }
};

// Several layers' caches of random numbers, one step's q, and page tables of scattered pages.
class Step {
 public:
  explicit Step(const Shape& shape)
      : shape_(shape),
        layer_({.dtype = DType::f16,
                .page_tokens = kPageTokens,
                .kv_heads = shape.kv_heads,
                .head_dim = shape.head_dim}) {
    layer_.page_stride_bytes = layer_.page_bytes();
    make_spans();
    const auto layer_bytes = static_cast<size_t>(page_count_ * layer_.page_stride_bytes);
    const size_t layer_count = kColdBytes / layer_bytes + 1;
    for (size_t i = 0; i < layer_count; ++i) layers_.push_back(random_numbers(layer_bytes));
    Random random(4);
    std::vector<float> q(static_cast<size_t>(shape.rows() * shape.heads * shape.head_dim));
    for (float& x : q) x = random.uniform(-1.0f, 1.0f);
    q_ = std::make_unique<OnCard<float>>(q);
    out_ = std::make_unique<OnCard<float>>(q.size());
    scratch_ = std::make_unique<OnCard<std::byte>>(static_cast<size_t>(
        gpu_attention_scratch_bytes(shape.rows(), shape.heads, shape.head_dim, view_.max_context)));
  }

  // Seconds of one layer.
  double measure(Gpu& gpu) const {
    const double all = seconds_of(gpu, [&] {
      for (const OnCard<std::byte>& cache : layers_) {
        KvLayer layer = layer_;
        layer.data = cache.data();
        attention(gpu, layer, {.q = heads_of(*q_), .out = heads_of(*out_), .scale = 0.1f}, view_,
                  scratch_->bytes());
      }
    });
    return all / static_cast<double>(layers_.size());
  }
  Cost cost() const { return attention_cost(layer_, shape_.heads, shape_.spans); }

 private:
  void make_spans() {
    std::vector<int32_t> row_spans, pages;
    std::vector<AttentionSpan> spans = shape_.spans;
    std::vector<int64_t> first_pages;
    for (const AttentionSpan& span : spans) {
      row_spans.insert(row_spans.end(), static_cast<size_t>(span.row_count),
                       static_cast<int32_t>(first_pages.size()));
      const int64_t context = span.first_position + span.row_count;
      first_pages.push_back(page_count_);
      page_count_ += (context + kPageTokens - 1) / kPageTokens;
      view_.max_row_count = std::max(view_.max_row_count, span.row_count);
      view_.max_context = std::max(view_.max_context, context);
    }
    for (int64_t i = 0; i < page_count_; ++i) pages.push_back(static_cast<int32_t>(i));
    Random random(5);
    for (size_t i = pages.size(); i > 1; --i) std::swap(pages[i - 1], pages[random.below(i)]);
    pages_ = std::make_unique<OnCard<int32_t>>(pages);
    for (size_t i = 0; i < spans.size(); ++i) spans[i].pages = pages_->data() + first_pages[i];
    spans_ = std::make_unique<OnCard<AttentionSpan>>(spans);
    row_spans_ = std::make_unique<OnCard<int32_t>>(row_spans);
    view_.spans = spans_->data();
    view_.count = static_cast<int64_t>(spans.size());
    view_.row_spans = row_spans_->data();
    view_.rows = shape_.rows();
  }
  Tensor heads_of(const OnCard<float>& values) const {
    return {values.data(),
            DType::f32,
            3,
            {shape_.rows(), shape_.heads, shape_.head_dim},
            {shape_.heads * shape_.head_dim, shape_.head_dim, 1}};
  }

  Shape shape_;
  KvLayer layer_;
  GpuSpans view_;
  int64_t page_count_ = 0;
  std::vector<OnCard<std::byte>> layers_;
  std::unique_ptr<OnCard<float>> q_, out_;
  std::unique_ptr<OnCard<std::byte>> scratch_;
  std::unique_ptr<OnCard<AttentionSpan>> spans_;
  std::unique_ptr<OnCard<int32_t>> pages_, row_spans_;
};

struct Model {
  const char* name;
  int64_t heads, kv_heads, head_dim;
};
constexpr Model kModels[] = {
    {"smollm2-135m", 9, 3, 64}, {"deepseek-7b", 32, 32, 128}, {"deepseek-67b", 64, 8, 128}};

std::vector<std::pair<std::string, std::vector<AttentionSpan>>> steps() {
  std::vector<std::pair<std::string, std::vector<AttentionSpan>>> steps;
  for (const int64_t context : {64, 256, 1024, 4096, 32768}) {
    steps.push_back({fmt::format("decode at {}", context), {{0, 1, context - 1}}});
  }
  std::vector<AttentionSpan> batch;
  for (int64_t i = 0; i < 16; ++i) batch.push_back({i, 1, 1023});
  steps.push_back({"decode 16 at 1024", batch});
  steps.push_back({"verify 8 at 4096", {{0, 8, 4088}}});
  for (const int64_t rows : {512, 2048, 4096}) {
    steps.push_back({fmt::format("prefill {}", rows), {{0, rows, 0}}});
  }
  steps.push_back({"prefill 512 at 3584", {{0, 512, 3584}}});
  return steps;
}

void run(Gpu& gpu) {
  const Limits limits = measure_limits(gpu);
  fmt::print("{}: {:.2f} TB/s in theory, a product of 8192^3 {:.0f} TFLOP/s\n", gpu.facts().name,
             limits.read_bytes_per_s * 1e-12, limits.product_flops_per_s * 1e-12);
  fmt::print("{:<14}{:<20}{:>9}{:>9}{:>8}{:>10}{:>8}\n", "model", "step", "us", "TB/s", "%",
             "TFLOP/s", "%");
  for (const Model& model : kModels) {
    for (const auto& [name, spans] : steps()) {
      const Step step({model.heads, model.kv_heads, model.head_dim, spans});
      const double seconds = step.measure(gpu);
      const double bytes_per_s = step.cost().bytes / seconds;
      const double flops_per_s = step.cost().flops / seconds;
      fmt::print("{:<14}{:<20}{:>9.1f}{:>9.2f}{:>8.1f}{:>10.1f}{:>8.1f}\n", model.name, name,
                 seconds * 1e6, bytes_per_s * 1e-12, 100 * bytes_per_s / limits.read_bytes_per_s,
                 flops_per_s * 1e-12, 100 * flops_per_s / limits.product_flops_per_s);
    }
  }
}

}  // namespace
}  // namespace shoehorn

int main() {
  if (shoehorn::gpu_count() == 0) {
    fmt::print("{}\n", shoehorn::why_no_gpu());
    return 1;
  }
  const auto gpu = shoehorn::Gpu::open(0).value();
  shoehorn::run(*gpu);
  return 0;
}
