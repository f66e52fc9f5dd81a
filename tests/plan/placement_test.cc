#include "plan/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/known_models.h"
#include "tests/plan/toy.h"

namespace shoehorn {
namespace {

using testing::HasSubstr;

constexpr uint64_t kGiB = uint64_t{1} << 30;
// Head, attention and KV cache of the toy; what it takes with nothing on the host.
constexpr uint64_t kToyFixed = 500 + 2 * (1000 + 512);
constexpr uint64_t kToyAll = kToyFixed + 20 * 1000;
constexpr uint64_t kToyRing = kToyFixed + 8000;  // with nothing but the ring

Placement toy_plan(uint64_t vram_budget_bytes) {
  return plan_placement(toy_model(), toy_machine(), toy_goal(vram_budget_bytes)).value();
}

TEST(Placement, AllOnTheCardNeedsNoRing) {
  const Placement plan = toy_plan(kToyAll);
  EXPECT_EQ(plan.layers, (std::vector<LayerPlacement>{{.vram = 10}, {.vram = 10}}));
  EXPECT_EQ(plan.vram.total(), kToyAll);
  EXPECT_EQ(plan.vram.kv, 1024u);
  EXPECT_EQ(plan.ram.total(), 700u);
  // 22 kB of layers, 16 bytes of cached keys and values, the head.
  EXPECT_DOUBLE_EQ(plan.decode.total_s, (22000 + 16 + 500) / 1e9);
  EXPECT_EQ(plan.decode.bound, Bound::vram_bandwidth);
}

TEST(Placement, OneByteLessAndTheRingTakesItsRoom) {
  const Placement plan = toy_plan(kToyAll - 1);
  EXPECT_EQ(plan.units(&LayerPlacement::vram), 11);  // 19999 bytes less 8000 for the ring
  EXPECT_EQ(plan.vram.ring, 8000u);
  EXPECT_EQ(plan.vram.total(), kToyAll - 1000);
}

TEST(Placement, UnitsAreSharedSoThatCpuAndBusEndTogether) {
  const Placement plan = toy_plan(kToyRing + 4999);
  EXPECT_EQ(plan.units(&LayerPlacement::vram), 4);
  EXPECT_EQ(plan.layers[0].vram, 2);
  EXPECT_EQ(plan.layers[1].vram, 2);
  // Of 16 units, 6 streamed take 1.2 s beside 10 computed in 10/8 = 1.25 s (slowed by copies all
  // the while but 0.05 s: 1.24); 5 and 11: 1.0 s of copies, in which the CPU reads 8, then 3 more
  // at full rate: 1.3 s; 7 and 9: 1.4 s.
  EXPECT_EQ(plan.units(&LayerPlacement::stream), 6);
  EXPECT_EQ(plan.units(&LayerPlacement::cpu), 10);
  EXPECT_EQ(plan.layers[0].stream, 3);
  EXPECT_EQ(plan.layers[1].stream, 3);
  EXPECT_NEAR(plan.decode.copy_s, 1.2, 1e-9);
  EXPECT_NEAR(plan.decode.cpu_s, 1.0 + 1.2 * 0.2, 1e-9);
  EXPECT_NEAR(plan.decode.total_s, 1.24, 1e-4);
  EXPECT_NEAR(plan.decode_tokens_per_s, 1 / 1.24, 1e-3);
  EXPECT_EQ(plan.decode.bound, Bound::host_memory_and_pcie);
  EXPECT_EQ(plan.ram.units, 10000u);
  EXPECT_EQ(plan.ram.streamed, 6000u);
}

TEST(Placement, CopiesAreLeftOutWhereTheyTakeWhatTheCpuReads) {
  MachineProfile machine = toy_machine();
  machine.cpu_read_beside_copy_bytes_per_s = 5000;  // what copies leave of 10000
  const Placement plan = plan_placement(toy_model(), machine, toy_goal(kToyRing)).value();
  EXPECT_NEAR(plan.decode.total_s, 2.0, 1e-4);  // 20 kB at 10 kB/s, whoever reads them
}

TEST(Placement, TheRingLimitsWhatIsStreamed) {
  Goal goal = toy_goal(kToyFixed + 4000);
  goal.ring_bytes = 4000;  // two units of a layer beside two of the next
  const Placement plan = plan_placement(toy_model(), toy_machine(), goal).value();
  for (const LayerPlacement& layer : plan.layers) EXPECT_LE(layer.stream, 2);
  EXPECT_EQ(plan.units(&LayerPlacement::stream), 4);
}

TEST(Placement, ManyRowsMakeTheCpuComputeBound) {
  MachineProfile machine = toy_machine();
  machine.cpu_linear_flops_per_s = 80000;  // 4 rows of 1-byte weights at 10 kB/s
  machine.h2d = {{1, 1e-3}};               // no help from copies
  Goal goal = toy_goal(kToyRing);
  goal.batch = 4;
  goal.vram_budget_bytes += 3 * 1024;  // of KV cache
  Placement plan = plan_placement(toy_model(), machine, goal).value();
  EXPECT_NEAR(plan.decode.total_s, 2.0, 1e-3);
  EXPECT_EQ(plan.decode.bound, Bound::host_memory);
  goal.batch = 8;
  goal.vram_budget_bytes += 4 * 1024;
  plan = plan_placement(toy_model(), machine, goal).value();
  EXPECT_NEAR(plan.decode.total_s, 4.0, 1e-3);
  EXPECT_NEAR(plan.decode_tokens_per_s, 2.0, 1e-3);
  EXPECT_EQ(plan.decode.bound, Bound::cpu_compute);
}

TEST(Placement, StepsOfManyRowsStreamAll) {
  Goal goal = toy_goal(kToyRing + 4000);
  goal.prompt_tokens = 64;
  goal.prefill_rows = 32;
  const Placement plan = plan_placement(toy_model(), toy_machine(), goal).value();
  // Two chunks stream 16 units at 5 kB/s each; the first copy is waited for.
  EXPECT_NEAR(plan.first_token_s, 2 * 16.0 / 5 + 0.2, 1e-3);
  EXPECT_NEAR(plan.prefill_tokens_per_s, 64 / 6.6, 1e-2);
  EXPECT_EQ(plan.prefill.bound, Bound::pcie);
  goal.prefill_rows = 64;
  EXPECT_NEAR(plan_placement(toy_model(), toy_machine(), goal).value().first_token_s, 3.4, 1e-3);
}

TEST(Placement, LastLayersMoveToTheHostWhereAttentionDoesNotFit) {
  // Room for the attention of one layer of two beside the ring.
  MachineProfile machine = toy_machine();
  machine.cpu_read_beside_copy_bytes_per_s = 10000;
  const Placement plan = plan_placement(toy_model(), machine, toy_goal(kToyRing - 1)).value();
  EXPECT_TRUE(plan.uses_card);
  EXPECT_EQ(plan.host_layers(), 1);
  EXPECT_FALSE(plan.layers[0].attention_on_host);
  EXPECT_EQ(plan.layers[1], (LayerPlacement{.attention_on_host = true, .cpu = 10}));
  EXPECT_EQ(plan.ram.attention, 1000u);
  EXPECT_EQ(plan.ram.kv, 512u);
  EXPECT_EQ(plan.vram.kv, 512u);
}

TEST(Placement, WithoutVramAllIsOnTheHost) {
  for (const uint64_t budget : {uint64_t{0}, uint64_t{8499}}) {  // head and ring: 8500
    const Placement plan = toy_plan(budget);
    EXPECT_FALSE(plan.uses_card);
    EXPECT_EQ(plan.vram.total(), 0u);
    EXPECT_EQ(plan.ram.total(), 22000u + 1024 + 500 + 700);
    EXPECT_NEAR(plan.decode.total_s, (22000 + 16 + 500) / 10000.0, 1e-9);
    EXPECT_EQ(plan.decode.bound, Bound::host_memory);
  }
}

TEST(Placement, ExchangesAreCountedForLayersThatAreShared) {
  MachineProfile machine = toy_machine();
  machine.layer_exchange_s = 0.01;
  machine.h2d = {{1, 1e-3}};
  const auto exchange = [&](uint64_t budget) {
    return plan_placement(toy_model(), machine, toy_goal(budget)).value().decode.exchange_s;
  };
  EXPECT_DOUBLE_EQ(exchange(kToyRing), 0.02);
  EXPECT_DOUBLE_EQ(exchange(kToyAll), 0);
}

TEST(Placement, SaysWhatDoesNotFit) {
  Goal goal = toy_goal(0);
  goal.ram_budget_bytes = 20000;
  const auto result = plan_placement(toy_model(), toy_machine(), goal);
  ASSERT_FALSE(result.ok());
  const std::string& message = result.error().message;
  EXPECT_THAT(message, HasSubstr("toy weights"));
  EXPECT_THAT(message, HasSubstr("feed-forward 19.5 KiB"));
  EXPECT_THAT(message, HasSubstr("--ram 1GiB"));
  EXPECT_THAT(message, testing::Not(HasSubstr("\n")));
}

ModelInventory four_bits(const char* name) {
  const int group = std::string(name).starts_with("smollm") ? 32 : 64;
  return inventory_at(known_model(name).value().config, format_of_bits(4, group).value()).value();
}

TEST(Placement, The67BWithin16GiB) {
  const MachineProfile machine = find_machine("h100-16-cores").value();
  Goal goal;
  goal.vram_budget_bytes = 16 * kGiB;
  goal.ram_budget_bytes = 64 * kGiB;
  const Placement plan = plan_placement(four_bits("deepseek-llm-67b"), machine, goal).value();
  EXPECT_EQ(plan.host_layers(), 0);
  EXPECT_LE(plan.vram.total(), goal.vram_budget_bytes);
  EXPECT_GT(plan.vram.total(), goal.vram_budget_bytes - 8000000);  // less than a unit is left
  EXPECT_NEAR(static_cast<double>(plan.ram.units + plan.ram.streamed) * 1e-9, 21, 1.5);
  EXPECT_NEAR(plan.decode_tokens_per_s, 6.4, 0.3);
  EXPECT_EQ(plan.decode.bound, Bound::host_memory_and_pcie);
  for (const LayerPlacement& layer : plan.layers) {
    EXPECT_NEAR(static_cast<double>(layer.vram), 10, 1.01);
    EXPECT_EQ(layer.vram + layer.cpu + layer.stream, 43);
  }
}

// Over models, machines and budgets: budgets hold, no unit is lost, more VRAM is not slower.
TEST(Placement, HoldsItsPromisesEverywhere) {
  for (const char* name : {"deepseek-llm-67b", "r1-distill-qwen-1.5b", "smollm2-135m"}) {
    const ModelInventory model = four_bits(name);
    for (const MachineProfile& machine : known_machines()) {
      double before = 0;
      for (uint64_t vram = 0; vram < 48 * kGiB; vram += vram / 8 + kGiB / 16) {
        Goal goal;
        goal.vram_budget_bytes = vram;
        goal.ram_budget_bytes = 64 * kGiB;
        const auto result = plan_placement(model, machine, goal);
        ASSERT_TRUE(result.ok()) << result.error().message;
        const Placement& plan = *result;
        const std::string where = fmt::format("{} on {} in {}", name, machine.name, vram);
        ASSERT_LE(plan.vram.total(), vram) << where;
        ASSERT_LE(plan.ram.total(), goal.ram_budget_bytes) << where;
        uint64_t placed = 0;
        for (size_t l = 0; l < model.layers.size(); ++l) {
          const LayerPlacement& layer = plan.layers[l];
          ASSERT_GE(std::min({layer.vram, layer.cpu, layer.stream}), 0) << where;
          ASSERT_EQ(layer.vram + layer.cpu + layer.stream, model.layers[l].units) << where;
          placed += model.layers[l].unit_bytes * static_cast<uint64_t>(model.layers[l].units);
        }
        ASSERT_EQ(plan.vram.units + plan.ram.units + plan.ram.streamed, placed) << where;
        // Whole units spread over layers make steps of a thousandth. Where the card's own memory
        // is what a step waits for, units that the CPU computes beside it are help that is lost.
        if (plan.decode.bound != Bound::vram_bandwidth) {
          ASSERT_GT(plan.decode_tokens_per_s, before * 0.998) << where;
        }
        before = std::max(before, plan.decode_tokens_per_s);
      }
    }
  }
}

TEST(Placement, FormatsMayDifferByLayer) {
  ModelInventory model = toy_model(4);
  for (const size_t l : {0, 3}) model.layers[l].unit_bytes = 1500;
  for (uint64_t vram = 0; vram < 70000; vram += 700) {
    const Placement plan = plan_placement(model, toy_machine(), toy_goal(vram)).value();
    ASSERT_LE(plan.vram.total(), vram);
    ASSERT_EQ(plan.vram.units + plan.ram.units + plan.ram.streamed, 50000u);
  }
}

}  // namespace
}  // namespace shoehorn
