// Linear layers on a card at the shapes of real models, beside what its memory delivers.
//
//   linear_cuda_bench [few|many|layer] ...      all of them without an argument
//
// few: up to 128 rows. Enough copies of the weights to defeat L2 are multiplied in turn, launched
// one behind another as decoding does; the table shows the time of one launch, and weight bytes a
// second as a share of what copying within the card's memory was measured to reach just before.
// layer: what a decoding step does in a layer, without attention itself. many: prefill, in TFLOP/s.
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

// Bytes read and written a second by copies of 1 GiB within the card's memory.
double copy_bytes_per_s(Gpu& gpu) {
  constexpr size_t kBytes = size_t{1} << 30;
  const OnCard<std::byte> from(kBytes), to(kBytes);
  const double seconds = seconds_of(gpu, 4, [&](int) {
    CUDA_CHECK(
        cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice, gpu.stream()));
  });
  return 2.0 * kBytes / seconds;
}

constexpr int64_t kRotatedBytes = int64_t{400} << 20;  // several times an L2

// Copies of one weight on the card, all of it the same few random rows.
class Copies {
 public:
  Copies(const Format& format, int64_t rows, int64_t columns)
      : weight_{format, rows, columns, nullptr},
        count_(static_cast<int>(1 + kRotatedBytes / weight_.size_bytes())),
        bytes_(static_cast<size_t>(count_ * stride())) {
    const OwnedWeight made = make_weight(format, std::min<int64_t>(rows, 256), columns);
    const int64_t all = count_ * stride();
    int64_t done = std::min(made.weight.size_bytes(), all);
    copy(bytes_.data(), made.buffer.data(), done);
    for (; done < all; done += std::min(done, all - done)) {
      copy(bytes_.data() + done, bytes_.data(), std::min(done, all - done));
    }
  }
  int count() const { return count_; }
  int64_t size_bytes() const { return weight_.size_bytes(); }
  Weight at(int i) const {
    Weight weight = weight_;
    weight.data = bytes_.data() + i % count_ * stride();
    return weight;
  }

 private:
  static void copy(std::byte* to, const std::byte* from, int64_t bytes) {
    CUDA_CHECK(cudaMemcpy(to, from, static_cast<size_t>(bytes), cudaMemcpyDefault));
  }
  // Whole tiles of 16 rows, so that rows are rows in every copy.
  int64_t stride() const { return (weight_.size_bytes() + 255) / 256 * 256; }
  Weight weight_;
  int count_;
  OnCard<std::byte> bytes_;
};

std::vector<float> random_input(int64_t count) {
  Random random(5);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = random.uniform(-1.0f, 1.0f);
  return values;
}

// Rows of `tasks` weights in one launch.
struct Shape {
  const char* what;
  int64_t rows, columns;
  int tasks = 1;
};
constexpr Shape kShapes[] = {{"7B qkv", 4096, 4096, 3},       {"7B o", 4096, 4096},
                             {"7B gate, up", 11008, 4096, 2}, {"7B down", 4096, 11008},
                             {"7B head", 102400, 4096},       {"67B kv", 1024, 8192, 2},
                             {"67B o", 8192, 8192},           {"67B gate, up", 22016, 8192, 2},
                             {"67B down", 8192, 22016}};

constexpr Format kQ4 = {Storage::grouped, 4, 32, ScaleEncoding::f16};
constexpr Format kQ4Group64 = {Storage::grouped, 4, 64, ScaleEncoding::f16};
constexpr Format kQ4Group128 = {Storage::grouped, 4, 128, ScaleEncoding::f16};
std::vector<Format> other_formats() {
  return {{Storage::grouped, 4, 32, ScaleEncoding::f16, CodeMeaning::with_minimum},
          {Storage::grouped, 8, 32, ScaleEncoding::f16},
          {Storage::grouped, 4, 32, ScaleEncoding::two_level, CodeMeaning::with_minimum},
          {Storage::grouped, 5, 32, ScaleEncoding::two_level, CodeMeaning::with_minimum},
          {Storage::grouped, 6, 16, ScaleEncoding::two_level},
          {Storage::grouped, 3, 16, ScaleEncoding::two_level},
          {Storage::grouped, 4, 32, ScaleEncoding::two_level, CodeMeaning::iq4nl},
          kBf16};
}

void bench_launches(Gpu& gpu, const Format& format, const Shape& shape,
                    std::span<const int64_t> batches, double limit) {
  const Copies weights(format, shape.rows, shape.columns);
  fmt::print("{:20} {:13}", name(format), shape.what);
  for (const int64_t m : batches) {
    const OnCard<float> x(random_input(m * shape.columns)),
        y(static_cast<size_t>(m * shape.rows * shape.tasks));
    const OnCard<std::byte> scratch(
        static_cast<size_t>(gpu_activation_scratch_bytes(m, shape.columns)));
    const GpuActivationRows ready = prepare_activations(
        gpu, Tensor::matrix(x.data(), m, shape.columns), scratch.bytes(), Precision::fast);
    const double seconds = seconds_of(gpu, std::max(24, weights.count()), [&](int i) {
      std::vector<Weight> w;
      std::vector<LinearTask> tasks;
      for (int t = 0; t < shape.tasks; ++t) w.push_back(weights.at(i * shape.tasks + t));
      for (int t = 0; t < shape.tasks; ++t) {
        tasks.push_back({.weight = &w[t],
                         .output = Tensor::matrix(y.data() + t * m * shape.rows, m, shape.rows)});
      }
      linear(gpu, ready, tasks);
    });
    const double bytes = static_cast<double>(weights.size_bytes()) * shape.tasks;
    fmt::print(" {:6.1f} {:3.0f}", seconds * 1e6, 100 * bytes / seconds / limit);
  }
  fmt::print("\n");
  std::fflush(stdout);
}

void bench_few(Gpu& gpu) {
  const OnCard<std::byte> values(static_cast<size_t>(gpu_linear_scratch_bytes(102400, 4096)));
  gpu.set_scratch(values.bytes());
  const double limit = copy_bytes_per_s(gpu);
  const int64_t batches[] = {1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128};
  fmt::print("copy {:.0f} GB/s; us and % of it for m =", limit * 1e-9);
  for (const int64_t m : batches) fmt::print(" {}", m);
  fmt::print("\n");
  for (const Shape& shape : kShapes) bench_launches(gpu, kQ4, shape, batches, limit);
  if (getenv("LAB_Q4")) return;
  constexpr int64_t kFewer[] = {1, 8, 16, 32, 64};
  for (const Format& format : {kQ4Group64, kQ4Group128}) {
    for (const int i : {2, 3, 7}) bench_launches(gpu, format, kShapes[i], kFewer, limit);
  }
  for (const Format& format : other_formats()) {
    for (const int i : {2, 7}) bench_launches(gpu, format, kShapes[i], kFewer, limit);
  }
  CUDA_CHECK(cudaDeviceSynchronize());
  gpu.set_scratch({});
}

void bench_many(Gpu& gpu) {
  for (const Format& format : {kQ4, kBf16}) {
    for (const int s : {2, 3, 7, 8}) {
      const Shape& shape = kShapes[s];
      const OwnedWeight made = make_weight(format, shape.rows, shape.columns);
      const OnCard<std::byte> bytes(std::span<const std::byte>(
          made.buffer.data(), static_cast<size_t>(made.weight.size_bytes())));
      Weight weight = made.weight;
      weight.data = bytes.data();
      const OnCard<std::byte> values(
          static_cast<size_t>(gpu_linear_scratch_bytes(shape.rows, shape.columns)));
      gpu.set_scratch(values.bytes());
      for (const int64_t m : {129, 192, 256, 512, 2048}) {
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

// norm; q, k, v; rounding of attention's output; o; norm; gate, up; SwiGLU; down: a layer without
// what attention itself does, beside the time that its weights take.
void bench_layer(Gpu& gpu, const char* what, int64_t hidden, int64_t kv, int64_t wide) {
  const double limit = copy_bytes_per_s(gpu);
  const Copies square(kQ4, hidden, hidden), narrow(kQ4, kv, hidden), gate(kQ4, wide, hidden),
      down(kQ4, hidden, wide);
  for (const int64_t m : {1, 2, 8, 16, 32, 64}) {
    const OnCard<float> x(random_input(m * hidden)), weight(random_input(hidden)),
        normed(static_cast<size_t>(m * hidden)), qkv(static_cast<size_t>(3 * m * hidden)),
        g(static_cast<size_t>(m * wide)), u(static_cast<size_t>(m * wide));
    const OnCard<std::byte> scratch(static_cast<size_t>(gpu_activation_scratch_bytes(m, wide)));
    const Tensor in = Tensor::matrix(x.data(), m, hidden);
    const Tensor q = Tensor::matrix(qkv.data(), m, hidden),
                 k = Tensor::matrix(qkv.data() + m * hidden, m, kv),
                 v = Tensor::matrix(qkv.data() + 2 * m * hidden, m, kv),
                 gates = Tensor::matrix(g.data(), m, wide), ups = Tensor::matrix(u.data(), m, wide);
    const auto norm = [&] {
      return norm_and_prepare(gpu, in, {weight.data(), 1e-6f},
                              Tensor::matrix(normed.data(), m, hidden), scratch.bytes(),
                              Precision::fast);
    };
    const auto swiglu = [&] {
      return swiglu_and_prepare(gpu, gates, ups, gates, scratch.bytes(), Precision::fast);
    };
    const double seconds = seconds_of(gpu, 24, [&](int i) {
      const Weight w[] = {square.at(2 * i),
                          narrow.at(2 * i),
                          narrow.at(2 * i + 1),
                          square.at(2 * i + 1),
                          gate.at(2 * i),
                          gate.at(2 * i + 1),
                          down.at(i)};
      linear(gpu, norm(),
             {{.weight = &w[0], .output = q},
              {.weight = &w[1], .output = k},
              {.weight = &w[2], .output = v}});
      linear(gpu, prepare_activations(gpu, q, scratch.bytes(), Precision::fast),
             {{.weight = &w[3], .output = in, .mode = OutputMode::add}});
      linear(gpu, norm(), {{.weight = &w[4], .output = gates}, {.weight = &w[5], .output = ups}});
      linear(gpu, swiglu(), {{.weight = &w[6], .output = in, .mode = OutputMode::add}});
    });
    const double norms = seconds_of(gpu, 100, [&](int) { norm(); });
    const double swiglus = seconds_of(gpu, 100, [&](int) { swiglu(); });
    const auto bytes = static_cast<double>(2 * square.size_bytes() + 2 * narrow.size_bytes() +
                                           2 * gate.size_bytes() + down.size_bytes());
    fmt::print("{} layer m={}: {:.1f} us, {:.0f} % of {:.0f} GB/s; norm {:.1f}, swiglu {:.1f} us\n",
               what, m, seconds * 1e6, 100 * bytes / seconds / limit, limit * 1e-9, norms * 1e6,
               swiglus * 1e6);
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
  if (wanted("layer")) {
    bench_layer(*gpu, "7B", 4096, 4096, 11008);
    bench_layer(*gpu, "67B", 8192, 1024, 22016);
  }
  if (wanted("few")) bench_few(*gpu);
  if (wanted("many")) bench_many(*gpu);
  return 0;
}
