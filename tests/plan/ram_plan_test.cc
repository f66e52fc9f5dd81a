#include "plan/ram_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "models/known_models.h"

namespace shoehorn {
namespace {

using testing::HasSubstr;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;

// DeepSeek-LLM-67B in 4.5 bits: 37 GB, feed-forwards of 305 MB, attention of 85 MB.
const ModelInventory& the_67b() {
  static const ModelInventory model =
      inventory_at(known_model("deepseek-llm-67b").value().config, format_of_bits(4, 32).value())
          .value();
  return model;
}

RamTerms terms(uint64_t ram_budget_bytes) {
  return {.ram_budget_bytes = ram_budget_bytes,
          .fixed_bytes = 200 * kMiB,
          .kv_bytes = the_67b().kv_cache_bytes(DType::f16, 4096, 1)};
}

// Numbers in flags or counts of layers where something is on disk.
template <typename Values>
std::vector<int64_t> gaps(const Values& values) {
  std::vector<int64_t> at, gaps;
  for (size_t l = 0; l < values.size(); ++l) {
    if (values[l]) at.push_back(static_cast<int64_t>(l));
  }
  for (size_t i = 1; i < at.size(); ++i) gaps.push_back(at[i] - at[i - 1]);
  return gaps;
}

TEST(RamPlan, WhatFitsNeedsNoDisk) {
  const RamPlan plan = plan_ram(the_67b(), terms(64 * kGiB)).value();
  EXPECT_EQ(plan.disk + plan.ring, 0u);
  EXPECT_EQ(plan.total(), 200 * kMiB + the_67b().kv_cache_bytes(DType::f16, 4096, 1) +
                              the_67b().layer_bytes() + the_67b().head_bytes +
                              the_67b().embedding_bytes + plan.groups + plan.attention -
                              the_67b().layer_bytes());
  EXPECT_EQ(plan_ram(the_67b(), terms(plan.total())).value().disk, 0u);
  EXPECT_GT(plan_ram(the_67b(), terms(plan.total() - 1)).value().disk, 0u);
}

// The budget holds, is used up to a block of attention, and the disk's work is spread evenly.
TEST(RamPlan, OnTheCpuAloneBlocksAreOnDisk) {
  const uint64_t attention = the_67b().layers[0].attention_bytes;
  for (uint64_t gib = 4; gib < 38; ++gib) {
    const RamPlan plan = plan_ram(the_67b(), terms(gib * kGiB)).value();
    EXPECT_LE(plan.total(), gib * kGiB);
    EXPECT_GT(plan.total() + attention, gib * kGiB) << gib;
    const std::vector<int64_t> feed_forward_gaps = gaps(plan.disk_groups);
    if (!feed_forward_gaps.empty()) {
      const auto [least, most] =
          std::minmax_element(feed_forward_gaps.begin(), feed_forward_gaps.end());
      EXPECT_LE(*most - *least, 1) << gib;
    }
    const std::vector<int64_t> attention_gaps = gaps(plan.attention_on_disk);
    if (!attention_gaps.empty()) {
      const auto [least, most] = std::minmax_element(attention_gaps.begin(), attention_gaps.end());
      EXPECT_LE(*most - *least, 1) << gib;
    }
  }
}

TEST(RamPlan, MoreRamNeverReadsMore) {
  uint64_t before = UINT64_MAX;
  for (uint64_t budget = 4 * kGiB; budget < 38 * kGiB; budget += 300 * kMiB) {
    const uint64_t disk = plan_ram(the_67b(), terms(budget)).value().disk;
    EXPECT_LE(disk, before);
    before = disk;
  }
}

TEST(RamPlan, SaysWhatTheLeastIs) {
  const Result<RamPlan> plan = plan_ram(the_67b(), terms(kGiB));
  ASSERT_FALSE(plan.ok());
  EXPECT_THAT(plan.error().message, HasSubstr("RAM budget: expected at least 3.4"));
  EXPECT_THAT(plan.error().message, HasSubstr("KV cache 1.48 GiB"));
  EXPECT_THAT(plan.error().message, HasSubstr("found 1.00 GiB"));
}

class RamBesideACard : public ::testing::TestWithParam<uint64_t> {};

TEST_P(RamBesideACard, TheLastGroupsOfLayersAreOnDisk) {
  const ModelInventory& model = the_67b();
  const CardPlan card = plan_card(model, {.limits = {.max_rows = 512, .max_context = 4096},
                                          .kv_bytes = terms(0).kv_bytes,
                                          .context_bytes = 586 * kMiB,
                                          .vram_budget_bytes = GetParam() * kGiB})
                            .value();
  const uint64_t group = model.layers[0].unit_bytes;
  uint64_t attention = 0;
  for (size_t l = 0; l < model.layers.size(); ++l) {
    if (!card.attention_in_vram[l]) attention += model.layers[l].attention_bytes;
  }
  for (const uint64_t gib : {uint64_t{10}, uint64_t{14}, uint64_t{20}}) {
    const RamTerms ram = {.ram_budget_bytes = gib * kGiB, .fixed_bytes = 500 * kMiB};
    const RamPlan plan = plan_ram(model, card, ram).value();
    EXPECT_LE(plan.total(), gib * kGiB);
    EXPECT_GT(plan.total() + group, gib * kGiB);
    EXPECT_EQ(plan.attention, attention);
    EXPECT_EQ(plan.head + plan.kv, 0u);
    const auto [least, most] =
        std::minmax_element(plan.disk_groups.begin(), plan.disk_groups.end());
    EXPECT_LE(*most - *least, 1);
    EXPECT_GE(plan.ring, 3 * static_cast<uint64_t>(*most) * group);
    // Streamed whatever the share; where the ring cannot hold them, all is, in waves.
    for (const double share : {0.0, 0.2, 1.0}) {
      const std::vector<GroupCounts> split = split_layers(card, share, plan.disk_groups);
      for (size_t l = 0; l < split.size(); ++l) {
        EXPECT_GE(split[l].stream, plan.disk_groups[l]);
        EXPECT_EQ(split[l].vram + split[l].cpu + split[l].stream, 43);
        if (streams_in_waves(card, plan.disk_groups)) {
          EXPECT_EQ(split[l].cpu, 0);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, RamBesideACard, ::testing::Values(6, 10, 16));

TEST(RamPlan, BesideACardThatHoldsAllNothingIsOnDisk) {
  const ModelInventory& model = the_67b();
  const CardPlan card = plan_card(model, {.limits = {.max_rows = 512, .max_context = 4096},
                                          .vram_budget_bytes = 70 * kGiB})
                            .value();
  const RamPlan plan = plan_ram(model, card, {.ram_budget_bytes = kGiB}).value();
  EXPECT_EQ(plan.disk, 0u);
  EXPECT_EQ(plan.total(), model.embedding_bytes);
}

}  // namespace
}  // namespace shoehorn
