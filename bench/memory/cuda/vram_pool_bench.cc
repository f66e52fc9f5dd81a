// A recorded serving trace on a card, with one budget of VRAM for everyone: plain cudaMalloc and
// cudaFree, the driver's own stream-ordered pool, and VramPool with and without joining. Twice:
// each sequence's cache as one block, the hardest thing to ask for; and in pages, as the engine's
// cache is.
//
//   vram_pool_bench bench/traces/chat-67b.txt [BUDGET] [PLOT.svg]
//
// BUDGET is in parts of the largest sum of bytes that live at a time (default: 1.02). The rest of
// the card is taken away first, so that plain cudaMalloc has the same bytes as the others.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <numeric>
#include <unordered_map>

#include "base/bytes.h"
#include "base/cuda_check.h"
#include "base/file.h"
#include "bench/memory/trace_plot.h"
#include "bench/memory/trace_replay.h"
#include "memory/vram_pool.h"

namespace shoehorn {
namespace {

constexpr uint64_t kPage = uint64_t{2} << 20;
constexpr uint64_t kBusyBytes = uint64_t{4} << 30;  // what a busy card writes: one to two ms
constexpr int64_t kBusyEvents = 200;
constexpr int64_t kSampleSteps = 60;

double mib(uint64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

uint64_t free_on_card() {
  size_t free_bytes = 0, total_bytes = 0;
  CUDA_CHECK(cudaMemGetInfo(&free_bytes, &total_bytes));
  return free_bytes;
}

void* try_malloc(uint64_t bytes) {
  void* data = nullptr;
  if (cudaMalloc(&data, bytes) == cudaSuccess) return data;
  cudaGetLastError();
  return nullptr;
}

// What can be had in pages: taken, counted, given back.
uint64_t bytes_to_be_had() {
  std::vector<void*> pages;
  while (void* page = try_malloc(kPage)) pages.push_back(page);
  for (void* page : pages) cudaFree(page);
  return pages.size() * kPage;
}

// Holds all of the card but a budget.
class Ballast {
 public:
  explicit Ballast(uint64_t budget) {
    take(kBusyBytes);
    take(free_on_card() - budget - kPage * 64);
    for (int round = 0; round < 8; ++round) {
      const uint64_t had = bytes_to_be_had();
      if (had <= budget) break;
      take(had - budget);
    }
  }
  ~Ballast() {
    for (void* block : blocks_) cudaFree(block);
  }
  void* busy() const { return blocks_.front(); }

 private:
  void take(uint64_t bytes) {
    void* block = try_malloc(bytes);
    CHECK(block != nullptr, "the card has no {}", format_bytes(bytes));
    blocks_.push_back(block);
  }
  std::vector<void*> blocks_;
};

class PlainMemory final : public TraceMemory {
 public:
  explicit PlainMemory() : before_(free_on_card()) {}
  bool take(int64_t id, uint64_t bytes) override {
    void* block = try_malloc(bytes);
    if (block != nullptr) blocks_[id] = block;
    return block != nullptr;
  }
  void give_back(int64_t id) override {
    CUDA_CHECK(cudaFree(blocks_.at(id)));
    blocks_.erase(id);
  }
  uint64_t used_bytes() const override { return before_ - free_on_card(); }

 private:
  uint64_t before_;
  std::unordered_map<int64_t, void*> blocks_;
};

class DriverPoolMemory final : public TraceMemory {
 public:
  DriverPoolMemory(uint64_t budget, cudaStream_t stream) : stream_(stream) {
    cudaMemPoolProps properties = {};
    properties.allocType = cudaMemAllocationTypePinned;
    properties.location = {.type = cudaMemLocationTypeDevice, .id = 0};
    properties.maxSize = budget;
    CUDA_CHECK(cudaMemPoolCreate(&pool_, &properties));
    uint64_t keep = UINT64_MAX;
    CUDA_CHECK(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &keep));
  }
  ~DriverPoolMemory() override {
    cudaStreamSynchronize(stream_);
    cudaMemPoolDestroy(pool_);
  }
  bool take(int64_t id, uint64_t bytes) override {
    void* block = nullptr;
    if (cudaMallocFromPoolAsync(&block, bytes, pool_, stream_) != cudaSuccess) {
      cudaGetLastError();
      return false;
    }
    blocks_[id] = block;
    return true;
  }
  void give_back(int64_t id) override {
    CUDA_CHECK(cudaFreeAsync(blocks_.at(id), stream_));
    blocks_.erase(id);
  }
  uint64_t used_bytes() const override {
    uint64_t bytes = 0;
    CUDA_CHECK(cudaMemPoolGetAttribute(pool_, cudaMemPoolAttrReservedMemCurrent, &bytes));
    return bytes;
  }

 private:
  cudaStream_t stream_;
  cudaMemPool_t pool_ = nullptr;
  std::unordered_map<int64_t, void*> blocks_;
};

class PoolMemory final : public TraceMemory {
 public:
  PoolMemory(uint64_t budget, bool may_join, cudaStream_t stream) : stream_(stream) {
    // Page tables of virtual memory may cost a page or two of what plain blocks can have.
    for (uint64_t bytes = budget; pool_ == nullptr; bytes -= kPage) {
      CHECK(bytes + 64 * kPage > budget, "no pool of {}", format_bytes(budget));
      Result<std::unique_ptr<VramPool>> pool = VramPool::create(budget_, bytes, may_join);
      if (pool.ok()) pool_ = std::move(*pool);
    }
  }
  bool take(int64_t id, uint64_t bytes) override {
    Result<VramBlock> block = pool_->allocate(bytes, stream_, "a trace");
    if (block.ok()) blocks_[id] = std::move(*block);
    return block.ok();
  }
  void give_back(int64_t id) override { blocks_.erase(id); }
  uint64_t used_bytes() const override { return pool_->statistics().reserved_bytes; }
  uint64_t largest_block_bytes() override { return pool_->statistics().largest_block_bytes; }
  const VramPool& pool() const { return *pool_; }

 private:
  VramBudget budget_{UINT64_MAX};
  cudaStream_t stream_;
  std::unique_ptr<VramPool> pool_;
  std::unordered_map<int64_t, VramBlock> blocks_;
};

double part_of(std::vector<double> values, double part) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1,
                         static_cast<size_t>(part * static_cast<double>(values.size())))];
}

double mean(const std::vector<double>& values) {
  return values.empty() ? 0
                        : std::accumulate(values.begin(), values.end(), 0.0) /
                              static_cast<double>(values.size());
}

std::string times(const std::vector<double>& values) {
  return fmt::format("{:9.1f} {:9.1f} {:9.1f}", mean(values), part_of(values, 0.5),
                     part_of(values, 0.99));
}

class Bench {
 public:
  Bench(ServingTrace trace, double part) : trace_(std::move(trace)), shape_(shape_of_67b()) {
    CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    const uint64_t peak = peak_live_bytes(trace_, shape_);
    budget_ = round_up(static_cast<uint64_t>(part * static_cast<double>(peak)), kPage);
    ballast_ = std::make_unique<Ballast>(budget_);
    budget_ = std::min(budget_, bytes_to_be_had());
    fmt::print("peak of live bytes {}, budget {}, to be had in pages of 2 MiB {}\n",
               format_bytes(peak), format_bytes(budget_), format_bytes(bytes_to_be_had()));
    fmt::print("microseconds: mean, median, p99. unusable, not in one: MiB, averages of samples\n");
    fmt::print("{:20} {:>29} {:>29} {:>29} {:>29} {:>5} {:>7} {:>6} {:>8} {:>9} {:>9}\n", "",
               "idle card: take", "give back", "busy card: take", "give back", "late", "by",
               "no room", "peak MiB", "unusable", "not in 1");
  }
  ~Bench() {
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
  }

  template <typename Make>
  void run(const char* name, const Make& make) {
    ReplayOptions options = {.budget_bytes = budget_};
    const auto measure = [&](int64_t most_events) {
      options.most_events = most_events;
      auto memory = make();
      return replay(trace_, shape_, options, *memory);
    };
    const ReplayResult idle = measure(INT64_MAX);
    options.before_call = [this] {
      CUDA_CHECK(cudaStreamSynchronize(stream_));
      CUDA_CHECK(cudaMemsetAsync(ballast_->busy(), 0, kBusyBytes, stream_));
    };
    const ReplayResult busy = measure(kBusyEvents);
    CUDA_CHECK(cudaStreamSynchronize(stream_));
    options.before_call = nullptr;
    options.sample_steps = kSampleSteps;
    const ReplayResult sampled = measure(INT64_MAX);
    double unusable = 0, hole = 0;
    for (const UnusableSample& sample : sampled.samples) {
      unusable += mib(sample.unusable_bytes) / static_cast<double>(sampled.samples.size());
      hole += mib(sample.hole_bytes) / static_cast<double>(sampled.samples.size());
    }
    fmt::print("{:20} {} {} {} {} {:5} {:7} {:6} {:8.0f} {:9.1f} {:9.1f}\n", name,
               times(idle.take_us), times(idle.give_back_us), times(busy.take_us),
               times(busy.give_back_us), idle.late, idle.late_steps, idle.refused_groups,
               mib(sampled.peak_used_bytes), unusable, hole);
    std::fflush(stdout);
    curves_.push_back({name, sampled.samples});
  }

  std::unique_ptr<TraceMemory> plain() const { return std::make_unique<PlainMemory>(); }
  std::unique_ptr<TraceMemory> pool(bool may_join) const {
    return std::make_unique<PoolMemory>(budget_, may_join, stream_);
  }
  std::unique_ptr<TraceMemory> in_pages(std::unique_ptr<TraceMemory> memory) const {
    return std::make_unique<InPages>(std::move(memory), shape_.page_bytes);
  }

  void run_all() {
    fmt::print("a sequence's cache in one block\n");
    run("cudaMalloc", [this] { return plain(); });
    run("VramPool", [this] { return pool(true); });
    run("VramPool, plain", [this] { return pool(false); });
    count_joined();
    run("cudaMallocFromPool",
        [this] { return std::make_unique<DriverPoolMemory>(budget_, stream_); });
    plotted_ = std::ssize(curves_);
    fmt::print("in pages\n");
    run("cudaMalloc", [this] { return in_pages(plain()); });
    run("VramPool", [this] { return in_pages(pool(true)); });
    run("VramPool, plain", [this] { return in_pages(pool(false)); });
  }

  void count_joined() {
    PoolMemory memory(budget_, true, stream_);
    replay(trace_, shape_, {.budget_bytes = budget_}, memory);
    fmt::print("VramPool holds {}; blocks joined: {}\n",
               format_bytes(memory.pool().statistics().budget_bytes),
               memory.pool().statistics().joined_in_all);
  }

  // A copy within plain memory, and within a joined block of many pieces.
  void compare_bandwidth() {
    constexpr uint64_t kBytes = uint64_t{512} << 20;
    ballast_.reset();
    VramBudget budget(4 * kBytes);
    const auto pool = VramPool::create(budget, 2 * kBytes, true).value();
    const uint64_t piece = kBytes / 64;
    std::vector<VramBlock> pieces;
    for (int i = 0; i < 128; ++i) pieces.push_back(pool->allocate(piece, stream_, "x").value());
    for (int i = 0; i < 128; i += 2) pieces[static_cast<size_t>(i)] = {};
    const VramBlock joined = pool->allocate(kBytes, stream_, "x").value();
    void* plain = try_malloc(kBytes);
    CHECK(plain != nullptr, "no room");
    CHECK(pool->statistics().joined_blocks == 1, "not joined");
    const double joined_rate = copy_rate(joined.data(), kBytes);
    pieces.clear();
    const VramBlock whole = pool->allocate(kBytes, stream_, "x").value();
    fmt::print(
        "copies within 512 MiB: plain {:.0f}, a range of the pool {:.0f}, joined {:.0f} GB/s\n",
        copy_rate(plain, kBytes), copy_rate(whole.data(), kBytes), joined_rate);
    cudaFree(plain);
  }

  std::vector<TraceCurve> curves() const { return {curves_.begin(), curves_.begin() + plotted_}; }

 private:
  double copy_rate(void* data, uint64_t bytes) const {
    auto* half = static_cast<std::byte*>(data) + bytes / 2;
    cudaEvent_t begin = nullptr, end = nullptr;
    CUDA_CHECK(cudaEventCreate(&begin));
    CUDA_CHECK(cudaEventCreate(&end));
    float least = 1e9f;
    for (int round = 0; round < 10; ++round) {
      CUDA_CHECK(cudaEventRecord(begin, stream_));
      CUDA_CHECK(cudaMemcpyAsync(half, data, bytes / 2, cudaMemcpyDeviceToDevice, stream_));
      CUDA_CHECK(cudaEventRecord(end, stream_));
      CUDA_CHECK(cudaEventSynchronize(end));
      float milliseconds = 0;
      CUDA_CHECK(cudaEventElapsedTime(&milliseconds, begin, end));
      least = std::min(least, milliseconds);
    }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    return static_cast<double>(bytes) / static_cast<double>(least) * 1e-6;
  }

  ServingTrace trace_;
  TraceShape shape_;
  cudaStream_t stream_ = nullptr;
  uint64_t budget_ = 0;
  std::unique_ptr<Ballast> ballast_;
  std::vector<TraceCurve> curves_;
  std::ptrdiff_t plotted_ = 0;
};

Result<void> run(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return fail("expected a trace");
  const std::string text = TRY(read_text_file(arguments[0]));
  ServingTrace trace = TRY(parse_trace(text, arguments[0]));
  const double part = arguments.size() > 1 ? std::atof(arguments[1].c_str()) : 1.02;
  cudaDeviceProp properties = {};
  TRY(cuda_result(cudaGetDeviceProperties(&properties, 0), "the card"));
  int version = 0;
  TRY(cuda_result(cudaDriverGetVersion(&version), "the driver"));
  fmt::print("{}, driver for CUDA {}.{}\n", properties.name, version / 1000, version % 1000 / 10);
  {
    Bench bench(std::move(trace), part);
    bench.run_all();
    bench.compare_bandwidth();
    if (arguments.size() > 2) std::ofstream(arguments[2]) << plot_unusable(bench.curves());
  }
  return {};
}

}  // namespace
}  // namespace shoehorn

int main(int argc, char** argv) {
  const shoehorn::Result<void> result =
      shoehorn::run(std::vector<std::string>(argv + 1, argv + argc));
  if (!result.ok()) fmt::print(stderr, "error: {}\n", result.error().message);
  return result.ok() ? 0 : 1;
}
