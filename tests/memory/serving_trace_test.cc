// The recorded trace on the pool's bookkeeping alone: what the benchmark shows on a card, here
// without one.
#include "bench/memory/serving_trace.h"

#include <gtest/gtest.h>

#include <memory>
#include <unordered_map>

#include "base/bytes.h"
#include "base/file.h"
#include "bench/memory/trace_replay.h"
#include "memory/range_allocator.h"

namespace shoehorn {
namespace {

constexpr uint64_t kGranule = uint64_t{2} << 20;

class Bookkeeping final : public TraceMemory {
 public:
  explicit Bookkeeping(const RangeOptions& options) : ranges_(options) {}
  bool take(int64_t id, uint64_t bytes) override {
    const Result<std::vector<Range>> taken = ranges_.take(bytes, "a trace");
    if (taken.ok()) blocks_[id] = taken->front().begin;
    return taken.ok();
  }
  void give_back(int64_t id) override {
    ranges_.give_back(blocks_.at(id));
    blocks_.erase(id);
  }
  uint64_t used_bytes() const override { return ranges_.statistics().reserved_bytes; }
  uint64_t largest_block_bytes() override { return ranges_.statistics().largest_block_bytes; }

 private:
  RangeAllocator ranges_;
  std::unordered_map<int64_t, uint64_t> blocks_;
};

// Whole granules for each block and none shared, nothing else lost: what cudaMalloc was seen to do.
class WholePages final : public TraceMemory {
 public:
  explicit WholePages(uint64_t budget) : left_(budget) {}
  bool take(int64_t id, uint64_t bytes) override {
    bytes = round_up(bytes, kGranule);
    if (bytes > left_) return false;
    left_ -= bytes;
    blocks_[id] = bytes;
    return true;
  }
  void give_back(int64_t id) override {
    left_ += blocks_.at(id);
    blocks_.erase(id);
  }
  uint64_t used_bytes() const override { return 0; }
  uint64_t largest_block_bytes() override { return std::max<uint64_t>(left_, 1); }

 private:
  uint64_t left_;
  std::unordered_map<int64_t, uint64_t> blocks_;
};

TEST(ServingTrace, ReadsWhatItWrites) {
  const std::string text = "0 + 1 kv 700\n0 + 2 work 200\n3 - 2\n70 + 3 group 45\n90 - 3\n90 - 1\n";
  const ServingTrace trace = parse_trace("# a comment\n\n" + text, "x").value();
  std::string again;
  for (const TraceEvent& event : trace.events) again += format_event(event);
  EXPECT_EQ(again, text);
  const TraceShape shape = shape_of_67b();
  EXPECT_EQ(shape.bytes(TraceKind::kv, 700), 11 * 64 * 2 * 95 * 8 * 128 * 2u);
  EXPECT_EQ(shape.bytes(TraceKind::group, 45), 512 * 8192 * 3 * 45 / 80u);
  EXPECT_EQ(peak_live_bytes(trace, shape),
            shape.bytes(TraceKind::kv, 700) + shape.bytes(TraceKind::work, 200));
}

TEST(ServingTrace, WhatIsNoTraceIsAnError) {
  for (const char* text : {"hello", "1 + 1", "1 + 1 kv", "1 + 1 kv 0", "1 * 1", "1 + 1 kv 5 5",
                           "1 + 1 disk 5", "1 - 1", "1 + 1 kv 5\n2 + 1 kv 5", "1 + 1 kv 5"}) {
    const Result<ServingTrace> trace = parse_trace(text, "x.txt");
    ASSERT_FALSE(trace.ok()) << text;
    EXPECT_TRUE(trace.error().message.starts_with("x.txt:")) << trace.error().message;
  }
}

class PoolOnATrace : public ::testing::Test {
 protected:
  ReplayResult run(std::unique_ptr<TraceMemory> memory) const {
    return replay(trace_, shape_, {.budget_bytes = budget_, .sample_steps = 1}, *memory);
  }
  ReplayResult run_in_pages(std::unique_ptr<TraceMemory> memory) const {
    return run(std::make_unique<InPages>(std::move(memory), shape_.page_bytes));
  }
  std::unique_ptr<TraceMemory> pool(uint64_t granule) const {
    return std::make_unique<Bookkeeping>(RangeOptions{
        .size_bytes = budget_, .granule_bytes = granule, .small_bytes = uint64_t{16} << 20});
  }
  std::unique_ptr<TraceMemory> whole_pages() const { return std::make_unique<WholePages>(budget_); }

  // Average of the samples.
  static double unusable(const ReplayResult& result) {
    double sum = 0;
    for (const UnusableSample& sample : result.samples) {
      sum += static_cast<double>(sample.unusable_bytes);
    }
    return sum / static_cast<double>(result.samples.size());
  }

  const std::string path_ = std::string(SOURCE_ROOT) + "/bench/traces/chat-67b.txt";
  const ServingTrace trace_ = parse_trace(read_text_file(path_).value(), path_).value();
  const TraceShape shape_ = shape_of_67b();
  const uint64_t budget_ = round_up(peak_live_bytes(trace_, shape_) / 100 * 102, kGranule);
};

TEST_F(PoolOnATrace, WhereCachesAreInPagesTwoFifthsLessIsUnusable) {
  const ReplayResult plain = run_in_pages(pool(0)), joining = run_in_pages(pool(kGranule));
  const double limit = 0.6 * unusable(run_in_pages(whole_pages()));
  EXPECT_GT(limit, 0);
  EXPECT_LT(unusable(plain), limit);
  EXPECT_LT(unusable(joining), limit);
  EXPECT_EQ(plain.late, 0);
  EXPECT_EQ(joining.late, 0);
}

TEST_F(PoolOnATrace, WhereEachCacheIsOneBlockItTakesJoining) {
  const ReplayResult joining = run(pool(kGranule));
  EXPECT_LT(unusable(joining), 0.6 * unusable(run(whole_pages())));
  EXPECT_EQ(joining.late, 0);
  EXPECT_GT(run(pool(0)).late, 100);
}

}  // namespace
}  // namespace shoehorn
