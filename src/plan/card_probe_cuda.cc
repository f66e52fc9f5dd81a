#include "plan/card_probe.h"

#include <algorithm>

#include "base/clock.h"
#include "base/cuda_check.h"
#include "memory/gpu_buffer.h"
#include "ops/gpu.h"
#include "plan/hardware.h"

namespace shoehorn {
namespace {

constexpr uint64_t kHostBytes = uint64_t{1} << 30;
constexpr uint64_t kCardBytes = uint64_t{512} << 20;
constexpr uint64_t kBulkChunk = uint64_t{32} << 20;

class Probe {
 public:
  Probe(ThreadPool& pool, Gpu& gpu) : pool_(pool), gpu_(gpu) {}

  Result<void> allocate(CardProbe& found) {
    host_ = TRY(HostBuffer::create(kHostBytes, "the measurement"));
    pool_.parallel_for(
        static_cast<int64_t>(kHostBytes),
        [&](int64_t begin, int64_t end) {
          fill_like_weights({host_.data() + begin, static_cast<size_t>(end - begin)});
        },
        4096);
    const Stopwatch clock;
    pin_ = TRY(Pin::create(host_.bytes()));
    found.pin_bytes_per_s = static_cast<double>(kHostBytes) / clock.seconds();
    card_ = TRY(GpuBuffer::create(kCardBytes, "the measurement"));
    return {};
  }

  std::span<std::byte> card() const { return card_.bytes(); }

  // The best of three passes over the host buffer, `chunk` bytes a copy.
  Result<double> copy_rate(uint64_t chunk, cudaMemcpyKind kind) {
    double best = 0;
    for (int pass = 0; pass < 3; ++pass) {
      const Stopwatch clock;
      queue_copies(chunk, kind, kCardBytes);
      TRY(gpu_.wait());
      best = std::max(best, static_cast<double>(kCardBytes) / clock.seconds());
    }
    return best;
  }

  Result<double> vram_rate() {
    double best = 0;
    for (int pass = 0; pass < 5; ++pass) {
      const Stopwatch clock;
      for (int i = 0; i < 8; ++i) {
        CUDA_CHECK(cudaMemcpyAsync(card_.data(), card_.data() + kCardBytes / 2, kCardBytes / 2,
                                   cudaMemcpyDeviceToDevice, gpu_.stream()));
      }
      TRY(gpu_.wait());
      best = std::max(best, 8.0 * static_cast<double>(kCardBytes) / clock.seconds());
    }
    return best;
  }

  // Copies are queued for longer than the host reads; their rate is theirs over that time.
  Result<void> side_by_side(CardProbe& found) {
    found.host_read_bytes_per_s = measure_read_bandwidth(pool_, host_.bytes());
    constexpr int kPasses = 8;
    cudaEvent_t first = nullptr, last = nullptr;
    CUDA_CHECK(cudaEventCreate(&first));
    CUDA_CHECK(cudaEventCreate(&last));
    CUDA_CHECK(cudaEventRecord(first, gpu_.stream()));
    for (int i = 0; i < kPasses; ++i) {
      queue_copies(kBulkChunk, cudaMemcpyHostToDevice, kCardBytes);
    }
    CUDA_CHECK(cudaEventRecord(last, gpu_.stream()));
    // Read by half of the buffer, so that the copies outlast it.
    found.host_read_beside_bytes_per_s =
        measure_read_bandwidth(pool_, host_.bytes().subspan(kCardBytes));
    TRY(gpu_.wait());
    float milliseconds = 0;
    CUDA_CHECK(cudaEventElapsedTime(&milliseconds, first, last));
    found.host_to_card_beside_bytes_per_s =
        static_cast<double>(kPasses * kCardBytes) / (static_cast<double>(milliseconds) * 1e-3);
    cudaEventDestroy(first);
    cudaEventDestroy(last);
    return {};
  }

  // As a layer that CPU and card share: a row to the host, which waits for it and starts its
  // threads four times (two products, and what makes their inputs ready), and a row back.
  Result<double> exchange_seconds() {
    constexpr int kWarmUp = 16, kExchanges = 128;
    constexpr uint64_t kRowBytes = 8192 * sizeof(float);
    cudaEvent_t ready = nullptr;
    TRY(cuda_result(cudaEventCreateWithFlags(&ready, cudaEventDisableTiming), "an event"));
    Stopwatch clock;
    for (int i = 0; i < kWarmUp + kExchanges; ++i) {
      if (i == kWarmUp) clock.restart();
      queue_copies(kRowBytes, cudaMemcpyDeviceToHost, kRowBytes);
      CUDA_CHECK(cudaEventRecord(ready, gpu_.stream()));
      CUDA_CHECK(cudaEventSynchronize(ready));
      for (int region = 0; region < 4; ++region) pool_.run([](int) {});
      queue_copies(kRowBytes, cudaMemcpyHostToDevice, kRowBytes);
    }
    TRY(gpu_.wait());
    cudaEventDestroy(ready);
    return clock.seconds() / kExchanges;
  }

 private:
  void queue_copies(uint64_t chunk, cudaMemcpyKind kind, uint64_t bytes) {
    for (uint64_t at = 0; at < bytes; at += chunk) {
      std::byte* host = host_.data() + at;
      std::byte* card = card_.data() + at;
      const bool up = kind == cudaMemcpyHostToDevice;
      CUDA_CHECK(cudaMemcpyAsync(up ? card : host, up ? host : card, std::min(chunk, bytes - at),
                                 kind, gpu_.stream()));
    }
  }

  ThreadPool& pool_;
  Gpu& gpu_;
  HostBuffer host_;
  Pin pin_;
  GpuBuffer card_;
};

}  // namespace

Result<CardProbe> probe_card(ThreadPool& pool, int index) {
  const std::unique_ptr<Gpu> gpu = TRY(Gpu::open(index));
  CardProbe found = {.facts = gpu->facts(), .threads = pool.thread_count()};
  found.context_bytes = TRY(gpu_process_bytes(index));
  Probe probe(pool, *gpu);
  TRY(probe.allocate(found));
  for (const uint64_t chunk : {uint64_t{256} << 10, uint64_t{1} << 20, uint64_t{4} << 20,
                               uint64_t{16} << 20, uint64_t{64} << 20}) {
    found.host_to_card.push_back({ chunk, TRY(probe.copy_rate(chunk, cudaMemcpyHostToDevice)) });
    found.card_to_host.push_back({ chunk, TRY(probe.copy_rate(chunk, cudaMemcpyDeviceToHost)) });
  }
  found.vram_bytes_per_s = TRY(probe.vram_rate());
  found.exchange_s = TRY(probe.exchange_seconds());
  TRY(probe.side_by_side(found));
  found.linear = TRY(probe_card_linear(*gpu, probe.card()));
  return found;
}

}  // namespace shoehorn
