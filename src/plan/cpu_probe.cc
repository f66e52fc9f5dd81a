#include "plan/cpu_probe.h"

#include <algorithm>

#include "base/clock.h"
#include "memory/host_buffer.h"
#include "models/inventory.h"
#include "ops/linear.h"

namespace shoehorn {
namespace {

constexpr int64_t kColumns = 8192;
constexpr int64_t kWeightRows = 4096;
constexpr int64_t kMostRows = 64;
// Halves of two such bytes are small positive numbers, and so no product is slowed by infinities.
constexpr std::byte kFill{0x2c};

// Weights one after the other in a buffer, as the feed-forwards of a model lie in memory.
class LinearSample {
 public:
  LinearSample(ThreadPool& pool, std::span<const std::byte> weights, const Format& format)
      : pool_(pool), weights_(weights) {
    weight_ = {format, kWeightRows, kColumns, weights.data()};
    const auto whole = static_cast<int64_t>(weights.size()) / weight_.size_bytes();
    if (whole == 0) weight_.rows = kPanelRows;  // a small sample, a small weight
    count_ = static_cast<int64_t>(weights.size()) / weight_.size_bytes();
    CHECK(count_ > 0, "a sample of {} bytes", weights.size());
    input_.resize(static_cast<size_t>(kMostRows * kColumns), 0.5f);
    output_.resize(static_cast<size_t>(kMostRows * kWeightRows));
    scratch_.resize(static_cast<size_t>(activation_scratch_bytes(kMostRows, kColumns)) + 64);
  }

  LinearRate rate(int64_t rows, double enough_seconds) {
    const size_t misaligned = reinterpret_cast<uintptr_t>(scratch_.data()) % 64;
    const ActivationRows x =
        prepare_activations(pool_, Tensor::matrix(input_.data(), rows, kColumns),
                            std::span(scratch_).subspan((64 - misaligned) % 64), Precision::fast);
    multiply(x);  // unmeasured: the kernel's code and the threads wake up
    int64_t products = 0;
    const Stopwatch clock;
    double seconds = 0;
    for (; seconds < enough_seconds || products == 0; seconds = clock.seconds()) {
      multiply(x);
      ++products;
    }
    return {.rows = rows,
            .weight_bytes = static_cast<uint64_t>(weight_.size_bytes()),
            .bytes_per_s = static_cast<double>(products * weight_.size_bytes()) / seconds};
  }

 private:
  void multiply(const ActivationRows& x) {
    weight_.data = weights_.data() + turn_ * weight_.size_bytes();
    turn_ = (turn_ + 1) % count_;
    linear(pool_, x,
           {{.weight = &weight_,
             .output = Tensor::matrix(output_.data(), x.values.rows(), weight_.rows)}});
  }

  ThreadPool& pool_;
  std::span<const std::byte> weights_;
  Weight weight_;
  int64_t count_ = 0, turn_ = 0;
  std::vector<float> input_, output_;
  std::vector<std::byte> scratch_;
};

std::vector<ReadRate> read_rates(const HostFacts& host, int most,
                                 std::span<const std::byte> bytes) {
  std::vector<ReadRate> rates;
  for (int threads = 1;; threads = std::min(2 * threads, most)) {
    ThreadPool pool(threads, host.cpu.usable_processors);
    rates.push_back({threads, measure_read_bandwidth(pool, bytes)});
    if (threads == most) return rates;
  }
}

}  // namespace

Result<CpuProbe> probe_cpu(const HostFacts& host, const CpuProbeOptions& options) {
  CpuProbe found = {.threads = default_thread_count(host.cpu), .read = {}, .linear = {}};
  // A buffer that no cache holds, an eighth of what is free at the most.
  const uint64_t bytes =
      options.sample_bytes > 0
          ? options.sample_bytes
          : std::clamp(host.available_memory_bytes / 8, uint64_t{64} << 20, uint64_t{1} << 30);
  const HostBuffer sample = TRY(HostBuffer::create(bytes, "the measurement"));
  ThreadPool pool(found.threads, host.cpu.usable_processors);
  // Untouched pages all read as one page of zeros.
  pool.parallel_for(static_cast<int64_t>(bytes), [&](int64_t begin, int64_t end) {
    std::fill(sample.data() + begin, sample.data() + end, kFill);
  });
  found.read = read_rates(host, found.threads, sample.bytes());
  LinearSample weights(pool, sample.bytes(), TRY(format_of_bits(4, 32)));
  for (int64_t rows = 1; rows <= kMostRows; rows *= 2) {
    found.linear.push_back(weights.rate(rows, options.seconds_per_rate));
  }
  return found;
}

}  // namespace shoehorn
