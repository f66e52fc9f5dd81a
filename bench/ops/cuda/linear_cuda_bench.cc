// Linear layers on a card at the shapes of real models, beside what its memory delivers.
//
//   linear_cuda_bench [few|many|chain] ...      all of them without an argument
//
// few: up to 64 rows. Enough copies of the weight to defeat L2 are multiplied in turn, launched one
// behind another as decoding does; the table shows the time of one, and weight bytes a second as a
// share of what reading alone was measured to reach on the same card. many: prefill, in TFLOP/s.
// chain: what a decoding step adds around its products.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "base/cuda_check.h"
#include "ops/prepare.h"
#include "tests/ops/cuda/on_card.h"
#include "tests/ops/weight_maker.h"

namespace shoehorn {
namespace {

// Median seconds of one of `count` launches, queued together as a graph, as a decoding step is.
double seconds_of(Gpu& gpu, int count, const std::function<void(int)>& launch) {
  cudaEvent_t begin, end;
  CUDA_CHECK(cudaEventCreate(&begin));
  CUDA_CHECK(cudaEventCreate(&end));
  cudaGraph_t graph;
  cudaGraphExec_t program;
  CUDA_CHECK(cudaStreamBeginCapture(gpu.stream(), cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < count; ++i) launch(i);
  CUDA_CHECK(cudaStreamEndCapture(gpu.stream(), &graph));
  CUDA_CHECK(cudaGraphInstantiate(&program, graph, 0));
  CUDA_CHECK(cudaGraphLaunch(program, gpu.stream()));
  std::vector<float> times;
  for (int round = 0; round < 7; ++round) {
    CUDA_CHECK(cudaEventRecord(begin, gpu.stream()));
    CUDA_CHECK(cudaGraphLaunch(program, gpu.stream()));
    CUDA_CHECK(cudaEventRecord(end, gpu.stream()));
    CUDA_CHECK(cudaEventSynchronize(end));
    float milliseconds = 0;
    CUDA_CHECK(cudaEventElapsedTime(&milliseconds, begin, end));
    times.push_back(milliseconds / static_cast<float>(count));
  }
  std::sort(times.begin(), times.end());
  cudaGraphExecDestroy(program);
  cudaGraphDestroy(graph);
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return static_cast<double>(times[times.size() / 2]) * 1e-3;
}

// The theoretical bandwidth of the card's memory.
double memory_bytes_per_s() {
  int kilohertz = 0, bits = 0;
  CUDA_CHECK(cudaDeviceGetAttribute(&kilohertz, cudaDevAttrMemoryClockRate, 0));
  CUDA_CHECK(cudaDeviceGetAttribute(&bits, cudaDevAttrGlobalMemoryBusWidth, 0));
  return 2.0 * kilohertz * 1e3 * bits / 8;
}

constexpr int64_t kRotatedBytes = int64_t{400} << 20;  // several times an L2

// Copies of one weight on the card.
class Copies {
 public:
  Copies(const Format& format, int64_t rows, int64_t columns)
      : made_(make_weight(format, rows, columns)),
        count_(static_cast<int>(1 + kRotatedBytes / made_.weight.size_bytes())),
        bytes_(static_cast<size_t>(count_ * stride())) {
    for (int i = 0; i < count_; ++i) {
      CUDA_CHECK(cudaMemcpy(bytes_.data() + i * stride(),
                            i == 0 ? made_.buffer.data() : bytes_.data(),
                            static_cast<size_t>(made_.weight.size_bytes()), cudaMemcpyDefault));
    }
  }
  int count() const { return count_; }
  Weight at(int i) const {
    Weight weight = made_.weight;
    weight.data = bytes_.data() + i % count_ * stride();
    return weight;
  }

 private:
  int64_t stride() const { return (made_.weight.size_bytes() + 255) / 256 * 256; }
  OwnedWeight made_;
  int count_;
  OnCard<std::byte> bytes_;
};

std::vector<float> random_input(int64_t count) {
  Random random(5);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = random.uniform(-1.0f, 1.0f);
  return values;
}

struct Shape {
  int64_t rows, columns;
};
constexpr Shape kShapes[] = {{8192, 22016}, {22016, 8192}, {8192, 8192},
                             {1024, 8192},  {4096, 11008}, {11008, 4096}};

std::vector<Format> bench_formats() {
  return {{Storage::grouped, 4, 32, ScaleEncoding::f16},
          {Storage::grouped, 4, 128, ScaleEncoding::f16},
          {Storage::grouped, 8, 32, ScaleEncoding::f16},
          {Storage::grouped, 4, 32, ScaleEncoding::two_level, CodeMeaning::with_minimum},
          {Storage::grouped, 6, 16, ScaleEncoding::two_level},
          {Storage::grouped, 3, 16, ScaleEncoding::two_level},
          {Storage::grouped, 4, 32, ScaleEncoding::two_level, CodeMeaning::iq4nl},
          kBf16};
}

void bench_few(Gpu& gpu) {
  const double limit = memory_bytes_per_s();
  fmt::print("memory {:.0f} GB/s; us and % of it\n{:24} {:>13}", limit * 1e-9, "format", "shape");
  const int64_t batches[] = {1, 2, 4, 8, 16, 32, 64};
  for (const int64_t m : batches) fmt::print("  {:>11}", fmt::format("m={}", m));
  fmt::print("\n");
  for (const Format& format : bench_formats()) {
    for (const Shape& shape : kShapes) {
      const Copies weights(format, shape.rows, shape.columns);
      fmt::print("{:24} {:>13}", name(format), fmt::format("{}x{}", shape.rows, shape.columns));
      for (const int64_t m : batches) {
        const OnCard<float> x(random_input(m * shape.columns)),
            y(static_cast<size_t>(m * shape.rows));
        const OnCard<std::byte> scratch(
            static_cast<size_t>(gpu_activation_scratch_bytes(m, shape.columns)));
        const GpuActivationRows ready = prepare_activations(
            gpu, Tensor::matrix(x.data(), m, shape.columns), scratch.bytes(), Precision::fast);
        const Tensor output = Tensor::matrix(y.data(), m, shape.rows);
        const double seconds = seconds_of(gpu, std::max(24, weights.count()), [&](int i) {
          const Weight weight = weights.at(i);
          linear(gpu, ready, {{.weight = &weight, .output = output}});
        });
        const double rate = static_cast<double>(weights.at(0).size_bytes()) / seconds;
        fmt::print("  {:7.1f} {:3.0f}", seconds * 1e6, 100 * rate / limit);
      }
      fmt::print("\n");
      std::fflush(stdout);
    }
  }
}

void bench_many(Gpu& gpu) {
  for (const Format& format : {bench_formats()[0], kBf16}) {
    for (const Shape& shape : {kShapes[0], kShapes[1], kShapes[4]}) {
      const OwnedWeight made = make_weight(format, shape.rows, shape.columns);
      const OnCard<std::byte> bytes(std::span<const std::byte>(
          made.buffer.data(), static_cast<size_t>(made.weight.size_bytes())));
      Weight weight = made.weight;
      weight.data = bytes.data();
      const OnCard<std::byte> values(
          static_cast<size_t>(gpu_linear_scratch_bytes(shape.rows, shape.columns)));
      gpu.set_scratch(values.bytes());
      for (const int64_t m : {128, 512, 2048}) {
        const OnCard<float> x(random_input(m * shape.columns)),
            y(static_cast<size_t>(m * shape.rows));
        const OnCard<std::byte> scratch(
            static_cast<size_t>(gpu_activation_scratch_bytes(m, shape.columns)));
        const GpuActivationRows ready = prepare_activations(
            gpu, Tensor::matrix(x.data(), m, shape.columns), scratch.bytes(), Precision::fast);
        const double seconds = seconds_of(gpu, 5, [&](int) {
          linear(gpu, ready,
                 {{.weight = &weight, .output = Tensor::matrix(y.data(), m, shape.rows)}});
        });
        fmt::print("{:20} {:>5}x{:<5} m={:<4} {:8.1f} us {:6.1f} TFLOP/s\n", name(format),
                   shape.rows, shape.columns, m, seconds * 1e6,
                   linear_cost(weight, m).flops / seconds * 1e-12);
      }
      CUDA_CHECK(cudaDeviceSynchronize());
      gpu.set_scratch({});
    }
  }
}

// norm, gate and up in one launch, SwiGLU, down: a feed-forward layer of 8192 x 22016, whole and
// cut into 86 groups, beside the time that its bytes take.
void bench_chain(Gpu& gpu) {
  constexpr int64_t kHidden = 8192, kWide = 22016, kParts = 86;
  const Format format = {Storage::grouped, 4, 32, ScaleEncoding::f16};
  const Copies gate(format, kWide, kHidden), down(format, kHidden, kWide);
  for (const int64_t m : {1, 8}) {
    const OnCard<float> x(random_input(m * kHidden)), weight(random_input(kHidden)),
        normed(static_cast<size_t>(m * kHidden)), g(static_cast<size_t>(m * kWide)),
        u(static_cast<size_t>(m * kWide));
    const OnCard<std::byte> scratch(static_cast<size_t>(gpu_activation_scratch_bytes(m, kWide)));
    const Tensor in = Tensor::matrix(x.data(), m, kHidden);
    const Tensor gates = Tensor::matrix(g.data(), m, kWide),
                 ups = Tensor::matrix(u.data(), m, kWide);
    const auto norm = [&] {
      return norm_and_prepare(gpu, in, {weight.data(), 1e-6f},
                              Tensor::matrix(normed.data(), m, kHidden), scratch.bytes(),
                              Precision::fast);
    };
    const auto swiglu = [&] {
      return swiglu_and_prepare(gpu, gates, ups, gates, scratch.bytes(), Precision::fast);
    };
    const double whole = seconds_of(gpu, 24, [&](int i) {
      const Weight w[3] = {gate.at(2 * i), gate.at(2 * i + 1), down.at(i)};
      linear(gpu, norm(), {{.weight = &w[0], .output = gates}, {.weight = &w[1], .output = ups}});
      linear(gpu, swiglu(), {{.weight = &w[2], .output = in, .mode = OutputMode::add}});
    });
    const double cut = seconds_of(gpu, 24, [&](int i) {
      std::vector<const std::byte*> parts[3];
      const int64_t bytes = size_bytes(format, kWide / kParts, kHidden);
      for (int64_t p = 0; p < kParts; ++p) {
        parts[0].push_back(gate.at(2 * i).data + p * bytes);
        parts[1].push_back(gate.at(2 * i + 1).data + p * bytes);
        parts[2].push_back(down.at(i).data + p * bytes);
      }
      linear_row_parts(
          gpu, norm(),
          std::array<RowPartsTask, 2>{{{{format, kWide / kParts, kHidden, parts[0]}, gates},
                                       {{format, kWide / kParts, kHidden, parts[1]}, ups}}});
      linear_column_parts(gpu, swiglu(), {format, kHidden, kWide / kParts, parts[2]}, in,
                          OutputMode::add);
    });
    const double norms = seconds_of(gpu, 100, [&](int) { norm(); });
    const double swiglus = seconds_of(gpu, 100, [&](int) { swiglu(); });
    const double bytes = 3.0 * static_cast<double>(gate.at(0).size_bytes());
    fmt::print(
        "feed-forward m={}: {:.1f} us ({:.0f} %), in {} parts {:.1f} us ({:.0f} %); norm {:.1f}, "
        "swiglu {:.1f} us\n",
        m, whole * 1e6, 100 * bytes / whole / memory_bytes_per_s(), kParts, cut * 1e6,
        100 * bytes / cut / memory_bytes_per_s(), norms * 1e6, swiglus * 1e6);
  }
}

}  // namespace
}  // namespace shoehorn

int main(int count, char** arguments) {
  using namespace shoehorn;
  if (gpu_count() == 0) {
    fmt::print("{}\n", why_no_gpu());
    return 1;
  }
  const auto gpu = Gpu::open(0).value();
  fmt::print("{}\n", gpu->facts().name);
  const auto wanted = [&](const char* what) {
    const auto matches = [&](const char* argument) { return std::strcmp(argument, what) == 0; };
    return count == 1 || std::any_of(arguments + 1, arguments + count, matches);
  };
  if (wanted("chain")) bench_chain(*gpu);
  if (wanted("few")) bench_few(*gpu);
  if (wanted("many")) bench_many(*gpu);
  return 0;
}
