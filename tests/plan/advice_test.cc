#include "plan/advice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/known_models.h"
#include "plan/place.h"

namespace shoehorn {
namespace {

using testing::HasSubstr;

constexpr uint64_t kGiB = uint64_t{1} << 30;

ModelInventory the_67b(int bits) {
  return inventory_at(known_model("deepseek-llm-67b").value().config,
                      format_of_bits(bits, 64).value())
      .value();
}

const Alternative* find(const std::vector<Alternative>& all, std::string_view change) {
  for (const Alternative& one : all) {
    if (one.change == change) return &one;
  }
  return nullptr;
}

TEST(Alternatives, AreWhatReplanningGives) {
  const MachineProfile machine = find_machine("rtx-4080").value();
  Goal goal;
  goal.vram_budget_bytes = 15 * kGiB;
  goal.ram_budget_bytes = 64 * kGiB;
  const ModelInventory model = the_67b(4);
  const Placement now = plan_placement(model, machine, goal).value();
  const std::vector<Alternative> all = alternatives(model, machine, goal, now);
  ASSERT_FALSE(all.empty());
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_GT(all[i].decode_tokens_per_s, now.decode_tokens_per_s) << all[i].change;
    if (i > 0) {
      EXPECT_LE(all[i].decode_tokens_per_s, all[i - 1].decode_tokens_per_s);
    }
  }
  const Alternative* three_bits = find(all, "3 bits a weight");
  ASSERT_NE(three_bits, nullptr);
  EXPECT_EQ(three_bits->decode_tokens_per_s,
            plan_placement(the_67b(3), machine, goal).value().decode_tokens_per_s);
  goal.vram_budget_bytes += 8 * kGiB;
  const Alternative* more_vram = find(all, "8 GiB more VRAM");
  ASSERT_NE(more_vram, nullptr);
  EXPECT_EQ(more_vram->decode_tokens_per_s,
            plan_placement(model, machine, goal).value().decode_tokens_per_s);
}

TEST(Alternatives, AreOnlyThoseThatHelp) {
  // All in VRAM: host memory and a second card change nothing.
  const MachineProfile machine = find_machine("rtx-4080").value();
  Goal goal;
  goal.vram_budget_bytes = 15 * kGiB;
  goal.ram_budget_bytes = 64 * kGiB;
  const ModelInventory model = inventory_at(known_model("r1-distill-qwen-1.5b").value().config,
                                            format_of_bits(3, 64).value())
                                   .value();
  const Placement now = plan_placement(model, machine, goal).value();
  EXPECT_TRUE(alternatives(model, machine, goal, now).empty());
}

TEST(Alternatives, NameTheCpuWhereStreamingIsSlower) {
  // Attention over a narrow bus, where host memory has five times its rate.
  const MachineProfile machine = find_machine("rtx-4060-ti-16gb").value();
  Goal goal;
  goal.vram_budget_bytes = 7 * kGiB / 2;
  goal.ram_budget_bytes = 64 * kGiB;
  const ModelInventory model = the_67b(4);
  const Placement now = plan_placement(model, machine, goal).value();
  ASSERT_TRUE(now.uses_card);
  ASSERT_GT(now.attention(AttentionPlace::streamed), 0);
  const std::vector<Alternative> all = alternatives(model, machine, goal, now);
  EXPECT_NE(find(all, "the CPU alone (--vram 0)"), nullptr);
  goal.vram_budget_bytes = 15 * kGiB;
  const Placement more = plan_placement(model, machine, goal).value();
  EXPECT_EQ(find(alternatives(model, machine, goal, more), "the CPU alone (--vram 0)"), nullptr);
}

TEST(WhatWouldFit, EachSuggestionFits) {
  const MachineProfile machine = find_machine("rtx-4080").value();
  Goal goal;
  goal.vram_budget_bytes = 15 * kGiB;
  goal.ram_budget_bytes = kGiB;
  const ModelInventory model = the_67b(4);
  const auto result = plan_placement(model, machine, goal);
  ASSERT_FALSE(result.ok());
  const std::string text = what_would_fit(model, machine, goal);
  EXPECT_THAT(result.error().message, HasSubstr(text));
  EXPECT_THAT(text, HasSubstr("--bits 2"));
  EXPECT_TRUE(plan_placement(the_67b(2), machine, goal).ok());
  const size_t at = text.find("--ram ");
  ASSERT_NE(at, std::string::npos);
  const uint64_t gibibytes = std::stoull(text.substr(at + 6));
  goal.ram_budget_bytes = gibibytes * kGiB;
  EXPECT_TRUE(plan_placement(model, machine, goal).ok());
  goal.ram_budget_bytes -= kGiB;
  EXPECT_FALSE(plan_placement(model, machine, goal).ok());
}

TEST(WhatWouldFit, AShorterContextIsFound) {
  // A cache of 32 sequences that no machine of the size holds.
  const MachineProfile machine = find_machine("rtx-4080").value();
  Goal goal;
  goal.vram_budget_bytes = 15 * kGiB;
  goal.ram_budget_bytes = 24 * kGiB;
  goal.batch = 32;
  EXPECT_THAT(what_would_fit(the_67b(4), machine, goal), HasSubstr("--context 1024"));
}

}  // namespace
}  // namespace shoehorn
