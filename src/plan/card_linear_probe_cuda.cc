#include <algorithm>
#include <cstdint>
#include <functional>

#include "base/cuda_check.h"
#include "base/random.h"
#include "memory/gpu_buffer.h"
#include "memory/host_buffer.h"
#include "models/inventory.h"
#include "ops/linear.h"
#include "ops/prepare.h"
#include "plan/card_linear_probe.h"

namespace shoehorn {
namespace {

constexpr int64_t kMostRows = 2048, kMostColumns = 8192;
constexpr int64_t kKernels = 200;

struct Shape {
  int64_t rows, columns;
};
// A matrix of the attention of a 7B model and of a 67B one, and gate of the latter.
constexpr Shape kShapes[] = {{4096, 4096}, {8192, 8192}, {22016, 8192}};
// Both sides of kFewRows, where the kernels change.
constexpr int64_t kRows[] = {1, 4, 16, 64, 96, 512, 2048};

class LinearProbe {
 public:
  LinearProbe(Gpu& gpu, std::span<std::byte> weights, const Format& format)
      : gpu_(gpu), weights_(weights), format_(format) {}
  ~LinearProbe() {
    cudaEventDestroy(first_);
    cudaEventDestroy(last_);
    gpu_.set_scratch({});
  }

  Result<void> allocate() {
    TRY(cuda_result(cudaEventCreate(&first_), "an event"));
    TRY(cuda_result(cudaEventCreate(&last_), "an event"));
    const auto activations =
        static_cast<uint64_t>(gpu_activation_scratch_bytes(kMostRows, kMostColumns));
    const auto scratch =
        static_cast<uint64_t>(gpu_linear_scratch_bytes(kMostColumns, kMostColumns));
    const auto place = [&](Arena& arena) {
      input_ = arena.take_array<float>(kMostRows * kMostColumns);
      output_ = arena.take_array<float>(kMostRows * kMostColumns);
      norm_ = arena.take_array<float>(kMostColumns);
      prepared_ = {arena.take(activations), activations};
      scratch_ = {arena.take(scratch), scratch};
    };
    Arena planned;
    place(planned);
    buffer_ = TRY(GpuBuffer::create(planned.peak_bytes(), "the measurement"));
    Arena arena(buffer_.bytes());
    place(arena);
    gpu_.set_scratch(scratch_);
    Random random(1);
    std::vector<float> values(static_cast<size_t>(kMostRows * kMostColumns));
    for (float& value : values) value = static_cast<float>(random.below(2001)) * 1e-3f - 1;
    TRY(cuda_result(cudaMemset(norm_, 0, kMostColumns * sizeof(float)), "the measurement"));
    return cuda_result(
        cudaMemcpy(input_, values.data(), values.size() * sizeof(float), cudaMemcpyHostToDevice),
        "the measurement");
  }

  // The engine's small kernels are replayed as a graph where all is in VRAM, and wait behind longer
  // ones elsewhere: either way their launches are hidden, and a chain of them is what they cost.
  Result<double> kernel_seconds() {
    const Tensor x = Tensor::matrix(input_, 1, 4096), out = Tensor::matrix(output_, 1, 4096);
    const double seconds = TRY(replayed_seconds([&] {
      for (int64_t i = 0; i < kKernels; ++i) {
        norm_and_prepare(gpu_, x, {.weight = norm_}, out, prepared_, Precision::fast);
      }
    }));
    return seconds / static_cast<double>(kKernels);
  }

  Result<double> linear_seconds(const Shape& shape, int64_t rows) {
    Weight weight = {format_, shape.rows, shape.columns, nullptr};
    const int64_t count = static_cast<int64_t>(weights_.size()) / weight.size_bytes();
    CHECK(count > 1, "{} bytes of weights", weights_.size());
    const GpuActivationRows x = prepare_activations(
        gpu_, Tensor::matrix(input_, rows, shape.columns), prepared_, Precision::fast);
    const bool few = rows <= kFewRows;
    // Long enough to be timed, and more bytes than a cache holds where few rows read them.
    const int64_t products = few ? std::max<int64_t>(count, 8) : std::min<int64_t>(count, 12);
    const auto multiply = [&] {
      for (int64_t i = 0; i < products; ++i) {
        weight.data = weights_.data() + i % count * weight.size_bytes();
        linear(gpu_, x, {{.weight = &weight, .output = Tensor::matrix(output_, rows, shape.rows)}});
      }
    };
    const double seconds = TRY(few ? replayed_seconds(multiply)
                                   : best_seconds([&] { return multiply(), cudaSuccess; }));
    return seconds / static_cast<double>(products);
  }

  Result<LinearRate> rate(const Shape& shape, int64_t rows) {
    const Weight weight = {format_, shape.rows, shape.columns, nullptr};
    const auto bytes = static_cast<uint64_t>(weight.size_bytes());
    const double seconds = TRY(linear_seconds(shape, rows));
    return LinearRate{
        .rows = rows, .weight_bytes = bytes, .bytes_per_s = static_cast<double>(bytes) / seconds};
  }

 private:
  // The least of three runs after one that is not counted.
  Result<double> best_seconds(const std::function<cudaError_t()>& queue) {
    double best = 1e9;
    for (int pass = 0; pass < 4; ++pass) {
      TRY(cuda_result(cudaEventRecord(first_, gpu_.stream()), "the measurement"));
      TRY(cuda_result(queue(), "the measurement"));
      TRY(cuda_result(cudaEventRecord(last_, gpu_.stream()), "the measurement"));
      TRY(gpu_.wait());
      float milliseconds = 0;
      TRY(cuda_result(cudaEventElapsedTime(&milliseconds, first_, last_), "the measurement"));
      if (pass > 0) best = std::min(best, static_cast<double>(milliseconds) * 1e-3);
    }
    return best;
  }

  Result<double> replayed_seconds(const std::function<void()>& queue) {
    queue();  // kernels are loaded
    TRY(gpu_.wait());
    TRY(cuda_result(cudaStreamBeginCapture(gpu_.stream(), cudaStreamCaptureModeThreadLocal),
                    "a graph"));
    queue();
    cudaGraph_t graph = nullptr;
    TRY(cuda_result(cudaStreamEndCapture(gpu_.stream(), &graph), "a graph"));
    cudaGraphExec_t replay = nullptr;
    const cudaError_t made = cudaGraphInstantiate(&replay, graph, 0);
    cudaGraphDestroy(graph);
    TRY(cuda_result(made, "a graph"));
    Result<double> seconds = best_seconds([&] { return cudaGraphLaunch(replay, gpu_.stream()); });
    cudaGraphExecDestroy(replay);
    return seconds;
  }

  Gpu& gpu_;
  std::span<std::byte> weights_;
  const Format format_;
  GpuBuffer buffer_;
  float *input_ = nullptr, *output_ = nullptr, *norm_ = nullptr;
  std::span<std::byte> prepared_, scratch_;
  cudaEvent_t first_ = nullptr, last_ = nullptr;
};

}  // namespace

void fill_like_weights(std::span<std::byte> bytes) {
  uint64_t state = 0x9E3779B97F4A7C15u;
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    bytes[i] = static_cast<std::byte>(state >> 32);
    bytes[i + 1] = static_cast<std::byte>(0x28 | (state >> 40 & 7));
  }
}

Result<CardLinearProbe> probe_card_linear(Gpu& gpu, std::span<std::byte> weights) {
  LinearProbe probe(gpu, weights, TRY(format_of_bits(4, 32)));
  TRY(probe.allocate());
  CardLinearProbe found;
  found.kernel_s = TRY(probe.kernel_seconds());
  for (const int64_t rows : kRows) {
    for (const Shape& shape : kShapes) {
      if (rows > kFewRows && shape.rows > kMostColumns) continue;  // outputs of 180 MB
      found.rates.push_back(TRY(probe.rate(shape, rows)));
    }
  }
  const double parameters_per_s = found.rates.back().bytes_per_s * 8 / kLinearRateBits;
  found.flops_per_s = 2 * parameters_per_s * static_cast<double>(found.rates.back().rows);
  return found;
}

}  // namespace shoehorn
