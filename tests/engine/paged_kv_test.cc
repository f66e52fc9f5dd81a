#include "engine/paged_kv.h"

#include <gtest/gtest.h>

#include <set>

namespace shoehorn {
namespace {

ModelConfig small_config() {
  ModelConfig config;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 10;
  return config;
}

// A cache whose memory is never touched, only pointed into.
PagedKv make(int64_t tokens) {
  alignas(64) static std::byte start[64];
  return PagedKv(small_config(), {.page_tokens = 16, .capacity_tokens = tokens}, start);
}

TEST(PagedKv, RoundsCapacityUpToWholePages) {
  EXPECT_EQ(make(1).page_count(), 1);
  EXPECT_EQ(make(16).page_count(), 1);
  EXPECT_EQ(make(17).page_count(), 2);
}

TEST(PagedKv, HandsOutEachPageOnce) {
  PagedKv kv = make(16 * 8);
  PageTable a, b;
  ASSERT_TRUE(kv.reserve(a, 33));
  ASSERT_TRUE(kv.reserve(b, 5 * 16));
  EXPECT_EQ(a.size(), 3u);
  EXPECT_EQ(kv.free_page_count(), 0);
  std::set<int32_t> pages(a.begin(), a.end());
  pages.insert(b.begin(), b.end());
  EXPECT_EQ(pages.size(), 8u);
}

TEST(PagedKv, ARefusedReservationChangesNothing) {
  PagedKv kv = make(16 * 4);
  PageTable a, b;
  ASSERT_TRUE(kv.reserve(a, 40));
  EXPECT_FALSE(kv.reserve(b, 17));
  EXPECT_TRUE(b.empty());
  EXPECT_EQ(kv.free_page_count(), 1);
  EXPECT_TRUE(kv.reserve(a, 48));  // already covered by its pages
  EXPECT_EQ(kv.free_page_count(), 1);
}

TEST(PagedKv, TruncateGivesBackOnlyWhatIsBeyond) {
  PagedKv kv = make(16 * 4);
  PageTable table;
  ASSERT_TRUE(kv.reserve(table, 64));
  const int32_t first = table[0];
  kv.truncate(table, 17);
  EXPECT_EQ(table.size(), 2u);
  kv.truncate(table, 16);
  ASSERT_EQ(table.size(), 1u);
  EXPECT_EQ(table[0], first);
  kv.truncate(table, 0);
  EXPECT_EQ(kv.free_page_count(), 4);
}

TEST(PagedKv, LayersOfAPageDoNotOverlap) {
  PagedKv kv = make(16 * 2);
  std::set<std::pair<std::byte*, std::byte*>> ranges;
  for (int64_t layer = 0; layer < 3; ++layer) {
    const KvLayer view = kv.layer(layer);
    for (int64_t page = 0; page < 2; ++page) {
      std::byte* begin = view.data + page * view.page_stride_bytes;
      EXPECT_EQ(reinterpret_cast<uintptr_t>(begin) % 64, 0u);
      ranges.insert({begin, begin + view.page_bytes()});
    }
  }
  std::byte* last_end = nullptr;
  for (const auto& [begin, end] : ranges) {
    EXPECT_GE(begin, last_end);
    last_end = end;
  }
}

TEST(PagedKv, TokenBytesFollowTheFormula) {
  EXPECT_EQ(PagedKv::token_bytes(small_config(), DType::f16), 2 * 3 * 2 * 10 * 2);
  EXPECT_EQ(PagedKv::token_bytes(small_config(), DType::f32), 2 * 3 * 2 * 10 * 4);
}

}  // namespace
}  // namespace shoehorn
