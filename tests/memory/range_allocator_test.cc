// The bookkeeping of a pool against a model that knows each byte's owner.
#include "memory/range_allocator.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "memory/vram_budget.h"

namespace shoehorn {
namespace {

constexpr uint64_t kGranule = 64;

// Who owns each unit of `alignment` bytes.
class ByteModel {
 public:
  explicit ByteModel(const RangeOptions& options)
      : options_(options), owners_(options.size_bytes / options.alignment, 0) {}

  void take(int owner, const std::vector<Range>& ranges, uint64_t asked) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < ranges.size(); ++i) {
      const Range& range = ranges[i];
      bytes += range.size;
      ASSERT_GT(range.size, 0u);
      ASSERT_EQ(range.begin % options_.alignment, 0u);
      ASSERT_EQ(range.size % options_.alignment, 0u);
      ASSERT_LE(range.end(), options_.size_bytes);
      const bool first = i == 0, last = i + 1 == ranges.size();
      ASSERT_TRUE(first || range.begin % options_.granule_bytes == 0);
      ASSERT_TRUE(last || range.end() % options_.granule_bytes == 0);
      for (uint64_t unit = range.begin / options_.alignment;
           unit < range.end() / options_.alignment; ++unit) {
        ASSERT_EQ(owners_[unit], 0)
            << "byte " << unit * options_.alignment << " is given out twice";
        owners_[unit] = owner;
      }
    }
    ASSERT_GE(bytes, asked);
    ASSERT_LT(bytes, asked + options_.alignment);
  }
  void give_back(int owner) { std::replace(owners_.begin(), owners_.end(), owner, 0); }

  uint64_t free_bytes() const {
    return static_cast<uint64_t>(std::count(owners_.begin(), owners_.end(), 0)) *
           options_.alignment;
  }
  uint64_t largest_free() const {
    uint64_t largest = 0;
    for (const Range& range : free_ranges()) largest = std::max(largest, range.size);
    return largest;
  }
  // The largest block that may be joined of free ranges, by trying every first and last one.
  uint64_t largest_block() const {
    uint64_t whole = 0, edges = 0;
    const std::vector<Range> ranges = free_ranges();
    for (const Range& range : ranges) whole += pieces(range).whole;
    for (size_t first = 0; first < ranges.size(); ++first) {
      for (size_t last = 0; last < ranges.size(); ++last) {
        if (first == last) continue;
        edges = std::max(edges, pieces(ranges[first]).head + pieces(ranges[last]).tail);
      }
    }
    return std::max(largest_free(), options_.granule_bytes == 0 ? 0 : whole + edges);
  }

 private:
  struct Pieces {
    uint64_t head = 0, whole = 0, tail = 0;
  };
  Pieces pieces(const Range& range) const {
    if (options_.granule_bytes == 0) return {};
    const uint64_t granule = options_.granule_bytes;
    const uint64_t first = round_up(range.begin, granule), last = range.end() / granule * granule;
    if (first > last) return {};
    return {first - range.begin, last - first, range.end() - last};
  }
  std::vector<Range> free_ranges() const {
    std::vector<Range> ranges;
    for (size_t unit = 0; unit < owners_.size(); ++unit) {
      if (owners_[unit] != 0) continue;
      const uint64_t begin = unit * options_.alignment;
      if (ranges.empty() || ranges.back().end() != begin) ranges.push_back({begin, 0});
      ranges.back().size += options_.alignment;
    }
    return ranges;
  }

  RangeOptions options_;
  std::vector<int> owners_;
};

struct Live {
  int owner = 0;
  uint64_t begin = 0;
  uint64_t asked = 0;
};

void compare(const RangeAllocator& allocator, const ByteModel& model,
             const std::vector<Live>& live) {
  const PoolStatistics now = allocator.statistics();
  uint64_t asked = 0;
  for (const Live& block : live) asked += block.asked;
  EXPECT_EQ(now.asked_bytes, asked);
  EXPECT_EQ(now.blocks, static_cast<int64_t>(live.size()));
  EXPECT_EQ(now.free_bytes, model.free_bytes());
  EXPECT_EQ(now.reserved_bytes + now.free_bytes, now.budget_bytes);
  EXPECT_EQ(now.largest_free_bytes, model.largest_free());
  // Where one range would be the best first and the best last one, the second best is not searched
  // for: less than a granule is lost.
  EXPECT_LE(now.largest_block_bytes, model.largest_block());
  EXPECT_GE(now.largest_block_bytes + kGranule, model.largest_block());
  EXPECT_GE(now.largest_block_bytes, now.largest_free_bytes);
}

void random_trace(const RangeOptions& options, uint64_t seed) {
  RangeAllocator allocator(options);
  ByteModel model(options);
  Random random(seed);
  std::vector<Live> live;
  int64_t joined = 0, refused = 0;
  for (int step = 1; step <= 2000; ++step) {
    if (!live.empty() && random.below(100) < 47) {
      const size_t chosen = random.below(live.size());
      model.give_back(live[chosen].owner);
      allocator.give_back(live[chosen].begin);
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(chosen));
    } else {
      const uint64_t asked = 1 + random.below(random.below(4) == 0 ? 700 : 90);
      const uint64_t most = allocator.statistics().largest_block_bytes;
      const Result<std::vector<Range>> ranges = allocator.take(asked, "a test");
      ASSERT_EQ(ranges.ok(), round_up(asked, options.alignment) <= most) << asked << " of " << most;
      refused += !ranges.ok();
      if (!ranges.ok()) continue;
      joined += ranges->size() > 1;
      model.take(step, *ranges, asked);
      live.push_back({step, ranges->front().begin, asked});
    }
    compare(allocator, model, live);
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(refused, 0);
  EXPECT_EQ(joined > 0, options.granule_bytes > 0);
  EXPECT_EQ(allocator.statistics().joined_in_all, joined);
  for (const Live& block : live) allocator.give_back(block.begin);
  const PoolStatistics end = allocator.statistics();
  EXPECT_EQ(end.free_ranges, 1);
  EXPECT_EQ(end.largest_free_bytes, end.budget_bytes);
  EXPECT_EQ(end.joined_blocks, 0);
}

TEST(RangeAllocator, AgreesWithTheModelByteForByte) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    for (const uint64_t alignment : {1, 4, 16}) {
      SCOPED_TRACE(fmt::format("seed {}, alignment {}", seed, alignment));
      random_trace({.size_bytes = 2048, .alignment = alignment}, seed);
      random_trace({.size_bytes = 2048,
                    .alignment = alignment,
                    .granule_bytes = kGranule,
                    .small_bytes = 48},
                   seed);
    }
  }
}

TEST(RangeAllocator, TakesTheSmallestRangeThatHolds) {
  RangeAllocator allocator({.size_bytes = 100, .alignment = 1});
  const std::vector<uint64_t> sizes = {10, 5, 20, 5, 12, 48};
  for (const uint64_t size : sizes) ASSERT_TRUE(allocator.take(size, "a test").ok());
  for (const uint64_t begin : {0, 15, 40}) allocator.give_back(begin);  // 10, 20 and 12 bytes
  EXPECT_EQ(allocator.take(11, "a test")->front(), (Range{40, 11}));
  EXPECT_EQ(allocator.take(10, "a test")->front(), (Range{0, 10}));
  EXPECT_EQ(allocator.take(10, "a test")->front(), (Range{15, 10}));
}

TEST(RangeAllocator, SmallBlocksAreAtTheEnds) {
  RangeAllocator allocator({.size_bytes = 100, .alignment = 1, .small_bytes = 10});
  EXPECT_EQ(allocator.take(10, "a test")->front(), (Range{0, 10}));
  EXPECT_EQ(allocator.take(9, "a test")->front(), (Range{91, 9}));
  EXPECT_EQ(allocator.take(1, "a test")->front(), (Range{90, 1}));
  EXPECT_EQ(allocator.take(20, "a test")->front(), (Range{10, 20}));
}

TEST(RangeAllocator, JoinsOnlyAtGranules) {
  RangeAllocator allocator({.size_bytes = 400, .alignment = 1, .granule_bytes = 100});
  ASSERT_TRUE(allocator.take(150, "a test").ok());  // [0, 150)
  ASSERT_TRUE(allocator.take(50, "a test").ok());   // [150, 200)
  ASSERT_TRUE(allocator.take(120, "a test").ok());  // [200, 320)
  allocator.give_back(0);
  // Free: [0, 150) and [320, 400), which ends at a granule's end as the other begins at one's
  // begin.
  EXPECT_EQ(allocator.statistics().largest_free_bytes, 150u);
  EXPECT_EQ(allocator.statistics().largest_block_bytes, 230u);
  EXPECT_EQ(allocator.statistics().unusable_bytes(), 0u);
  ASSERT_FALSE(allocator.take(231, "a test").ok());
  EXPECT_EQ(*allocator.take(200, "a test"), (std::vector<Range>{{320, 80}, {0, 120}}));
  EXPECT_EQ(allocator.statistics().free_bytes, 30u);
  allocator.give_back(320);
  EXPECT_EQ(allocator.statistics().free_bytes, 230u);
}

TEST(RangeAllocator, WhatReachesNoGranuleIsOfNoUseToAJoinedBlock) {
  RangeAllocator allocator({.size_bytes = 300, .alignment = 1, .granule_bytes = 100});
  for (const uint64_t size : {10, 80, 20, 80, 110}) ASSERT_TRUE(allocator.take(size, "x").ok());
  allocator.give_back(10);   // [10, 90): within a granule
  allocator.give_back(110);  // [110, 190): likewise
  EXPECT_EQ(allocator.statistics().free_bytes, 160u);
  EXPECT_EQ(allocator.statistics().largest_block_bytes, 80u);
  EXPECT_EQ(allocator.statistics().unusable_bytes(), 80u);
}

TEST(RangeAllocator, AnErrorNamesWhatWasAskedAndWhatIsThere) {
  RangeAllocator allocator({.size_bytes = 10 << 20, .alignment = 256});
  ASSERT_TRUE(allocator.take(3 << 20, "a test").ok());
  ASSERT_TRUE(allocator.take(3 << 20, "a test").ok());
  allocator.give_back(0);
  const Result<std::vector<Range>> refused = allocator.take(5 << 20, "a sequence's cache");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(
      refused.error().message,
      "a sequence's cache: expected room for 5.00 MiB, found 7.00 MiB free, the largest block "
      "4.00 MiB, of a budget of 10.0 MiB");
  EXPECT_FALSE(allocator.take(UINT64_MAX, "all there is").ok());  // rounding up would overflow
}

TEST(RangeAllocator, NothingAtAllIsAPoolThatRefuses) {
  RangeAllocator allocator({.size_bytes = 255, .alignment = 256});
  EXPECT_EQ(allocator.statistics().budget_bytes, 0u);
  EXPECT_FALSE(allocator.take(1, "a test").ok());
}

TEST(RangeAllocatorDeathTest, WhatIsGivenBackTwiceIsABug) {
  RangeAllocator allocator({.size_bytes = 1024});
  ASSERT_TRUE(allocator.take(256, "a test").ok());
  allocator.give_back(0);
  EXPECT_DEATH(allocator.give_back(0), "given back twice");
  EXPECT_DEATH(allocator.give_back(512), "no block at 512");
}

TEST(VramBudget, RefusesWhatIsBeyondIt) {
  VramBudget budget(10 << 20);
  ASSERT_TRUE(budget.take(7 << 20, "weights").ok());
  const Result<void> refused = budget.take(4 << 20, "a pool");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message,
            "VRAM for a pool: expected 4.00 MiB, found 3.00 MiB left of a budget of 10.0 MiB");
  budget.give_back(7 << 20);
  EXPECT_TRUE(budget.take(10 << 20, "a pool").ok());
  EXPECT_DEATH(budget.give_back(11 << 20), "given back");
}

}  // namespace
}  // namespace shoehorn
