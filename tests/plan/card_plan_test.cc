#include "plan/card_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "models/known_models.h"
#include "ops/attention.h"
#include "ops/linear.h"
#include "plan/placement.h"
#include "tests/plan/toy.h"

namespace shoehorn {
namespace {

using testing::HasSubstr;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;

// DeepSeek-LLM-67B in 4.5 bits.
ModelInventory the_67b() {
  return inventory_at(known_model("deepseek-llm-67b").value().config, format_of_bits(4, 32).value())
      .value();
}

CardTerms terms(const ModelInventory& model, uint64_t vram_budget_bytes, int64_t rows = 512) {
  return {.limits = {.max_rows = rows, .max_context = 4096},
          .kv_bytes = model.kv_cache_bytes(DType::f16, 4096, 1),
          .context_bytes = 586 * kMiB,
          .vram_budget_bytes = vram_budget_bytes};
}

int64_t sum(const std::vector<int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

TEST(CardPlan, TheBudgetIsFilledToTheGroup) {
  const ModelInventory model = the_67b();
  const uint64_t group = model.layers[0].unit_bytes;
  for (const uint64_t budget : {12 * kGiB, 16 * kGiB, 24 * kGiB}) {
    const CardPlan plan = plan_card(model, terms(model, budget)).value();
    EXPECT_LE(plan.total(), budget);
    EXPECT_GT(plan.total(), budget - group);
    EXPECT_EQ(plan.attention, 95 * model.layers[0].attention_bytes);
    EXPECT_EQ(plan.attention_ring, 0u);
    // Slots of 4 groups of 7.1 MB hold 24 MiB; a wave is two of them.
    EXPECT_EQ(plan.slot_groups, 4);
    EXPECT_EQ(plan.slot_bytes, 4 * group);
    EXPECT_EQ(plan.ring, 8 * plan.slot_bytes);
    EXPECT_EQ(plan.limits.wave_neurons, 8 * 512);
    EXPECT_EQ(plan.limits.few_rows, kFewRows);
    EXPECT_EQ(sum(plan.vram_groups) + sum(plan.host_groups), 95 * 43);
    EXPECT_EQ(plan.groups, static_cast<uint64_t>(sum(plan.vram_groups)) * group);
  }
}

// What `bench` printed for weights in host memory (bench/results/h100-16-cores.md).
TEST(CardPlan, IsWhatWasMeasured) {
  const ModelInventory model = the_67b();
  const auto host_gib = [&](uint64_t budget) {
    const CardPlan plan = plan_card(model, terms(model, budget, 2048)).value();
    return static_cast<double>(sum(plan.host_groups)) *
           static_cast<double>(model.layers[0].unit_bytes) / static_cast<double>(kGiB);
  };
  EXPECT_NEAR(host_gib(16 * kGiB), 15.2 + 6.51, 0.1);
  EXPECT_NEAR(host_gib(24 * kGiB), 9.57 + 4.11, 0.1);
}

TEST(CardPlan, AttentionBlocksThatStayAreSpreadEvenly) {
  const ModelInventory model = the_67b();
  const CardPlan plan = plan_card(model, terms(model, 8 * kGiB)).value();
  const uint64_t block = model.layers[0].attention_bytes;
  EXPECT_EQ(plan.attention_ring, 2 * block);
  EXPECT_EQ(plan.attention % block, 0u);
  EXPECT_LE(plan.total(), 8 * kGiB);
  EXPECT_GT(plan.total(), 8 * kGiB - block);
  const auto staying = std::count(plan.attention_in_vram.begin(), plan.attention_in_vram.end(), 1);
  EXPECT_EQ(static_cast<uint64_t>(staying), plan.attention / block);
  EXPECT_GT(staying, 40);
  for (size_t l = 0; l + 3 <= plan.attention_in_vram.size(); ++l) {
    EXPECT_TRUE(plan.attention_in_vram[l] || plan.attention_in_vram[l + 1] ||
                plan.attention_in_vram[l + 2])
        << l;
  }
}

TEST(CardPlan, SaysWhatTheLeastIs) {
  const ModelInventory model = the_67b();
  const auto result = plan_card(model, terms(model, 2 * kGiB));
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, HasSubstr("expected at least 3."));
  EXPECT_THAT(result.error().message, HasSubstr("found 2.00 GiB"));
  EXPECT_THAT(result.error().message, testing::Not(HasSubstr("\n")));
}

// The most streamed in a layer is what half of the ring holds; shares are of all that is outside.
TEST(SplitLayers, SpreadsAShareEvenly) {
  const ModelInventory model = the_67b();
  const CardPlan plan = plan_card(model, terms(model, 16 * kGiB)).value();
  const int64_t outside = sum(plan.host_groups);
  for (const double share : {0.0, 0.1, 0.37, 0.45}) {
    int64_t streamed = 0;
    for (size_t l = 0; l < model.layers.size(); ++l) {
      const GroupCounts counts = split_layers(plan, share)[l];
      EXPECT_EQ(counts.vram, plan.vram_groups[l]);
      EXPECT_EQ(counts.vram + counts.cpu + counts.stream, 43);
      EXPECT_NEAR(static_cast<double>(counts.stream), 34.5 * share, 1.5);
      streamed += counts.stream;
    }
    EXPECT_NEAR(static_cast<double>(streamed), share * static_cast<double>(outside), 1);
  }
  for (const GroupCounts& counts : split_layers(plan, 1.0)) EXPECT_EQ(counts.stream, 16);
}

// Groups of the last layers are the larger ones: slots hold them, and the budget holds.
TEST(CardPlan, FormatsMayDifferByLayer) {
  ModelInventory model = toy_model(4);
  model.layers[3].unit_bytes = 2 * kToyUnit;
  CardTerms toy_terms = {.limits = {.max_rows = 64, .max_context = 64}, .kv_bytes = 4 * 512};
  for (uint64_t units = 30; units < 70; ++units) {
    toy_terms.vram_budget_bytes = units * kToyUnit;
    const CardPlan plan = plan_card(model, toy_terms).value();
    EXPECT_LE(plan.total(), toy_terms.vram_budget_bytes);
    EXPECT_EQ(plan.slot_bytes, 2 * kToyUnit);
    uint64_t bytes = 0;
    for (size_t l = 0; l < 4; ++l) {
      bytes += static_cast<uint64_t>(plan.vram_groups[l]) * model.layers[l].unit_bytes;
    }
    EXPECT_EQ(plan.groups, bytes);
  }
}

// Scratch is sized where there is no card, and is the same there.
TEST(GpuScratch, IsPlainArithmetic) {
  // 3 rows of 64 columns: 2 + 5 blocks of codes (672 bytes: 768), then scales, sums and half sums
  // of 8 padded rows (224 bytes: 256 each, twice for halves).
  EXPECT_EQ(gpu_activation_scratch_bytes(3, 64), 768 + 4 * 256);
  // More rows are bf16.
  EXPECT_EQ(gpu_activation_scratch_bytes(1000, 640), 1000 * 640 * 2);
  // The matrix library's 32 MiB, and values of a small weight; of a large one, at most 64 MiB.
  EXPECT_EQ(gpu_linear_scratch_bytes(128, 64), (32 << 20) + 128 * 64 * 4);
  EXPECT_EQ(gpu_linear_scratch_bytes(1 << 15, 1 << 13), (32 << 20) + (64 << 20));
  // One row of a context of 300 tokens: 3 pieces of 8 heads; two floats each, then values.
  EXPECT_EQ(gpu_attention_scratch_bytes(1, 8, 64, 300), 256 + 3 * 8 * 64 * 4);
  EXPECT_EQ(gpu_attention_scratch_bytes(4096, 8, 64, 4096), 1024 * 8 * (64 + 2) * 4);
}

}  // namespace
}  // namespace shoehorn
