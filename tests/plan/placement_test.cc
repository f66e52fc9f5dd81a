#include "plan/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/known_models.h"
#include "tests/plan/toy.h"

namespace shoehorn {
namespace {

using testing::HasSubstr;

constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr uint64_t kUnit = kToyUnit;

// Of units beside what the toy takes in any case.
Placement toy_plan(uint64_t units, uint64_t less_bytes = 0) {
  return plan_placement(toy_model(), toy_machine(),
                        toy_goal(toy_fixed() + units * kUnit - less_bytes))
      .value();
}

TEST(Placement, AllOnTheCardNeedsNoRing) {
  const Placement plan = toy_plan(22);
  EXPECT_EQ(plan.layers, (std::vector<LayerPlacement>{{.vram = 10}, {.vram = 10}}));
  EXPECT_EQ(plan.vram.total(), toy_fixed() + 22 * kUnit);
  EXPECT_EQ(plan.vram.kv, 1024u);
  EXPECT_EQ(plan.ram.total(), toy_model().embedding_bytes);
  // 22 units of layers, 16 bytes of cached keys and values, the head.
  EXPECT_NEAR(plan.decode.total_s, 22.5e-6 + 16 / (1e6 * kUnit), 1e-12);
  EXPECT_EQ(plan.decode.bound, Bound::vram_bandwidth);
}

TEST(Placement, OneByteLessAndTheRingTakesItsRoom) {
  const Placement plan = toy_plan(22, 1);
  EXPECT_EQ(plan.units(&LayerPlacement::vram), 11);
  EXPECT_EQ(plan.vram.ring, 8 * kUnit);
  EXPECT_EQ(plan.vram.total(), toy_fixed() + 21 * kUnit);
}

TEST(Placement, UnitsAreSharedSoThatCpuAndBusEndTogether) {
  const Placement plan = toy_plan(2 + 8 + 5, 1);
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
  EXPECT_EQ(plan.ram.units, 10 * kUnit);
  EXPECT_EQ(plan.ram.streamed, 6 * kUnit);
}

TEST(Placement, CopiesAreLeftOutWhereTheyTakeWhatTheCpuReads) {
  MachineProfile machine = toy_machine();
  machine.cpu_read_beside_copy_bytes_per_s = 5 * kUnit;  // what copies leave of 10
  const Placement plan =
      plan_placement(toy_model(), machine, toy_goal(toy_fixed() + 10 * kUnit)).value();
  EXPECT_NEAR(plan.decode.total_s, 2.0, 1e-4);  // 20 units, 10 a second, whoever reads them
}

TEST(Placement, TheRingLimitsWhatIsStreamed) {
  MachineProfile machine = toy_machine();
  machine.cpu_read_bytes_per_s = machine.cpu_read_beside_copy_bytes_per_s = 1e-3 * kUnit;
  const Placement plan =
      plan_placement(toy_model(), machine, toy_goal(toy_fixed() + 10 * kUnit)).value();
  for (const LayerPlacement& layer : plan.layers) EXPECT_EQ(layer.stream, 4);
}

TEST(Placement, ManyRowsMakeTheCpuComputeBound) {
  MachineProfile machine = toy_machine();
  machine.cpu_linear_flops_per_s = 80 * kUnit;  // 4 rows of 1-byte weights at 10 units a second
  machine.h2d = {{1, 1e-3}};                    // no help from copies
  Goal goal = toy_goal(0);
  goal.batch = 4;
  goal.vram_budget_bytes = toy_fixed(goal) + 10 * kUnit;
  Placement plan = plan_placement(toy_model(), machine, goal).value();
  EXPECT_NEAR(plan.decode.total_s, 2.0, 1e-3);
  EXPECT_EQ(plan.decode.bound, Bound::host_memory);
  goal.batch = 8;
  goal.vram_budget_bytes = toy_fixed(goal) + 10 * kUnit;
  plan = plan_placement(toy_model(), machine, goal).value();
  EXPECT_NEAR(plan.decode.total_s, 4.0, 1e-3);
  EXPECT_NEAR(plan.decode_tokens_per_s, 2.0, 1e-3);
  EXPECT_EQ(plan.decode.bound, Bound::cpu_compute);
}

TEST(Placement, StepsOfManyRowsStreamAll) {
  Goal goal = toy_goal(0);
  goal.prompt_tokens = 64;
  goal.prefill_rows = 32;
  goal.vram_budget_bytes = toy_fixed(goal) + 14 * kUnit;
  const Placement plan = plan_placement(toy_model(), toy_machine(), goal).value();
  // Two chunks stream 16 units, 5 a second, each; the first copy is waited for.
  EXPECT_NEAR(plan.first_token_s, 2 * 16.0 / 5 + 0.2, 1e-3);
  EXPECT_NEAR(plan.prefill_tokens_per_s, 64 / 6.6, 1e-2);
  EXPECT_EQ(plan.prefill.bound, Bound::pcie);
  goal.prefill_rows = 64;
  goal.vram_budget_bytes = toy_fixed(goal) + 14 * kUnit;
  EXPECT_NEAR(plan_placement(toy_model(), toy_machine(), goal).value().first_token_s, 3.4, 1e-3);
}

TEST(Placement, AttentionThatDoesNotFitIsStreamed) {
  // Four layers and a ring of 8 units; a byte less, and a ring of 2 blocks of attention leaves room
  // for that of one layer.
  const uint64_t whole = toy_fixed(toy_goal(0), 4) + (8 + 4) * kUnit;
  const Placement resident = plan_placement(toy_model(4), toy_machine(), toy_goal(whole)).value();
  EXPECT_EQ(resident.attention(AttentionPlace::vram), 4);
  const Placement plan = plan_placement(toy_model(4), toy_machine(), toy_goal(whole - 1)).value();
  EXPECT_EQ(plan.attention(AttentionPlace::vram), 1);
  EXPECT_EQ(plan.attention(AttentionPlace::streamed), 3);
  EXPECT_EQ(plan.units(&LayerPlacement::vram), 0);
  EXPECT_EQ(plan.vram.ring, 10 * kUnit);
  EXPECT_EQ(plan.vram.kv, 4 * 512u);
  EXPECT_EQ(plan.ram.streamed_attention, 3 * kUnit);
  EXPECT_EQ(plan.ram.kv + plan.ram.attention, 0u);
  // Of 40 units 13 streamed: 3.2 s of copies, in which the CPU reads 25.6; 1.4 more at full rate.
  EXPECT_EQ(plan.units(&LayerPlacement::stream), 13);
  EXPECT_NEAR(plan.decode.copy_s, 3.2, 1e-9);
  EXPECT_NEAR(plan.decode.total_s, 3.34, 1e-3);
  EXPECT_NEAR(plan.first_token_s, 3.34, 1e-3);
}

TEST(Placement, WithoutVramAllIsOnTheHost) {
  // A ring of 8 units and both layers' attention in VRAM, or streamed through another ring: 10.
  EXPECT_TRUE(toy_plan(10).uses_card);
  for (const uint64_t budget : {uint64_t{0}, toy_fixed() + 10 * kUnit - 1}) {
    const Placement plan = plan_placement(toy_model(), toy_machine(), toy_goal(budget)).value();
    EXPECT_FALSE(plan.uses_card);
    EXPECT_EQ(plan.attention(AttentionPlace::host), 2);
    EXPECT_EQ(plan.vram.total(), 0u);
    const ModelInventory model = toy_model();
    EXPECT_EQ(plan.ram.total(), 22 * kUnit + 1024 + model.head_bytes + model.embedding_bytes);
    EXPECT_NEAR(plan.decode.total_s, 2.25, 1e-6);
    EXPECT_EQ(plan.decode.bound, Bound::host_memory);
  }
}

TEST(Placement, KernelsAndExchangesAreCountedForEachLayerOnTheCard) {
  MachineProfile machine = toy_machine();
  machine.kernel_s = 0.0001;
  machine.layer_exchange_s = 0.01;
  machine.h2d = {{1, 1e-3}};
  const auto exchange = [&](uint64_t budget) {
    return plan_placement(toy_model(), machine, toy_goal(budget)).value().decode.exchange_s;
  };
  // Two layers of 5 small kernels, 6 of the step; where the CPU has a part of a layer, an exchange.
  EXPECT_NEAR(exchange(toy_fixed() + 22 * kUnit), 0.0016, 1e-12);
  EXPECT_NEAR(exchange(toy_fixed() + 10 * kUnit), 0.0216, 1e-12);
  EXPECT_DOUBLE_EQ(exchange(0), 0);
}

TEST(Placement, ProductsTakeWhatTheLinearLayerTook) {
  MachineProfile machine = toy_machine();
  // Each launch a thousandth of a second, and each unit (of 8 bits) another.
  const auto unit_s = [](double units) { return units * kUnit / (1e-3 + units * 1e-3); };
  machine.card_linear = {{1, kUnit, unit_s(1)}, {1, 100 * kUnit, unit_s(100)}};
  const Placement plan =
      plan_placement(toy_model(), machine, toy_goal(toy_fixed() + 22 * kUnit)).value();
  // Two layers of 11 units in four products; half a unit of head.
  EXPECT_NEAR(plan.decode.total_s, 2 * (4e-3 + 11e-3) + 1.5e-3, 1e-6);
}

TEST(Placement, SeveralRowsAreStreamedWhereThatIsFaster) {
  MachineProfile machine = toy_machine();
  machine.cpu_linear_flops_per_s = 10 * kUnit;  // 5 rows a second of a unit
  Goal goal = toy_goal(0);
  for (const int64_t rows : {1, 8, 32}) {
    goal.batch = rows;
    goal.vram_budget_bytes = toy_fixed(goal) + 10 * kUnit;
    const Placement plan = plan_placement(toy_model(), machine, goal).value();
    EXPECT_EQ(plan.decode_in_waves, rows > 1) << rows;
    if (rows == 1) continue;
    EXPECT_EQ(plan.units(&LayerPlacement::cpu), 0);
    EXPECT_NEAR(plan.decode.total_s, 20.0 / 5, 1e-3);  // 20 units over the bus
    EXPECT_EQ(plan.decode.bound, Bound::pcie);
  }
}

TEST(Placement, SaysWhatDoesNotFit) {
  Goal goal = toy_goal(0);
  goal.ram_budget_bytes = 20 * kUnit;
  const auto result = plan_placement(toy_model(), toy_machine(), goal);
  ASSERT_FALSE(result.ok());
  const std::string& message = result.error().message;
  EXPECT_THAT(message, HasSubstr("toy weights"));
  EXPECT_THAT(message, HasSubstr("RAM budget: expected at least 557 MiB"));
  EXPECT_THAT(message, HasSubstr("feed-forward 480 MiB"));
  EXPECT_THAT(message, HasSubstr("found 480 MiB"));
  EXPECT_THAT(message, HasSubstr("--ram 1GiB"));
  EXPECT_THAT(message, testing::Not(HasSubstr("\n")));
}

// Of 8 layers' feed-forwards two are on disk, spread evenly, and all attention as far as needed.
TEST(Placement, WhatRamDoesNotHoldIsReadFromDisk) {
  const ModelInventory model = toy_model(8);
  MachineProfile machine = toy_machine();
  machine.disk_bytes_per_s = kUnit;
  Goal goal = toy_goal(0);
  const Placement resident = plan_placement(model, machine, goal).value();
  EXPECT_EQ(resident.disk.total(), 0u);
  // A ring of three feed-forwards takes what three of them gave up.
  goal.ram_budget_bytes = resident.ram.total() - 15 * kUnit;
  const Placement plan = plan_placement(model, machine, goal).value();
  EXPECT_LE(plan.ram.total(), goal.ram_budget_bytes);
  EXPECT_EQ(plan.ram.ring, 30 * kUnit);
  EXPECT_EQ(plan.disk.total() + plan.ram.total(), resident.ram.total() + plan.ram.ring);
  EXPECT_EQ(plan.disk.units, 40 * kUnit);
  EXPECT_EQ(plan.disk.attention, 5 * kUnit);
  EXPECT_EQ(plan.decode.bound, Bound::disk);
  EXPECT_NEAR(plan.decode.disk_s, 45, 1e-6);
  EXPECT_NEAR(plan.decode.total_s, 45 + 0.05, 1e-6);  // and the head
}

TEST(Placement, WhatRamDoesNotHoldIsStreamedFromDiskToTheCard) {
  MachineProfile machine = toy_machine();
  machine.disk_bytes_per_s = kUnit;
  Goal goal = toy_goal(0);
  goal.vram_budget_bytes = toy_fixed(goal, 8) + (8 + 8 + 16) * kUnit;  // ring, attention, 2 units
  const ModelInventory model = toy_model(8);
  const Placement resident = plan_placement(model, machine, goal).value();
  EXPECT_EQ(resident.units(&LayerPlacement::vram), 16);
  goal.ram_budget_bytes = resident.ram.total() - 10 * kUnit;
  const Placement plan = plan_placement(model, machine, goal).value();
  EXPECT_LE(plan.ram.total(), goal.ram_budget_bytes);
  EXPECT_EQ(plan.units(&LayerPlacement::disk), 16);  // two of each layer, and a ring of 6
  EXPECT_EQ(plan.ram.ring, 6 * kUnit);
  for (const LayerPlacement& layer : plan.layers) EXPECT_GE(layer.stream, layer.disk);
  EXPECT_EQ(plan.disk.streamed, 16 * kUnit);
  EXPECT_NEAR(plan.decode.total_s, 16, 1e-3);
  EXPECT_EQ(plan.decode.bound, Bound::disk);
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
  EXPECT_EQ(plan.attention(AttentionPlace::vram), 95);
  EXPECT_LE(plan.vram.total(), goal.vram_budget_bytes);
  EXPECT_GT(plan.vram.total(), goal.vram_budget_bytes - 8000000);  // less than a unit is left
  EXPECT_NEAR(static_cast<double>(plan.ram.units + plan.ram.streamed) * 1e-9, 21, 1.5);
  EXPECT_NEAR(plan.decode_tokens_per_s, 5.66, 0.1);
  EXPECT_EQ(plan.decode.bound, Bound::host_memory_and_pcie);
  for (const LayerPlacement& layer : plan.layers) {
    EXPECT_NEAR(static_cast<double>(layer.vram), 10, 1.01);
    EXPECT_EQ(layer.vram + layer.cpu + layer.stream, 43);
  }
}

// docs/design/002-plan.md has the table.
TEST(Placement, IsWithinATenthOfWhatWasMeasured) {
  const MachineProfile machine = find_machine("h100-16-cores").value();
  const auto plan_of = [&](const char* name, uint64_t gibibytes, int64_t prompt) {
    const ModelInventory model =
        inventory_at(known_model(name).value().config, format_of_bits(4, 32).value()).value();
    Goal goal;
    goal.vram_budget_bytes = gibibytes * kGiB;
    goal.ram_budget_bytes = 64 * kGiB;
    goal.prompt_tokens = prompt;
    goal.prefill_rows = 2048;
    return plan_placement(model, machine, goal).value();
  };
  const auto plan = [&](uint64_t gibibytes, int64_t prompt) {
    return plan_of("deepseek-llm-67b", gibibytes, prompt);
  };
  const auto expect = [](double planned, double measured) {
    EXPECT_NEAR(planned, measured, 0.1 * measured);
  };
  expect(plan(8, 16).decode_tokens_per_s, 3.83);
  expect(plan(16, 32).decode_tokens_per_s, 5.08);
  expect(plan(24, 16).decode_tokens_per_s, 8.06);
  expect(plan(60, 64).decode_tokens_per_s, 62.1);
  expect(plan_of("deepseek-llm-7b", 16, 128).decode_tokens_per_s, 439);
  expect(plan(16, 512).prefill_tokens_per_s, 1192);
  expect(plan(8, 2048).prefill_tokens_per_s, 3402);
  expect(plan(16, 2048).prefill_tokens_per_s, 4059);
  expect(plan(24, 2048).prefill_tokens_per_s, 4131);
  expect(plan(60, 2048).prefill_tokens_per_s, 4179);
  expect(plan_of("deepseek-llm-7b", 16, 512).prefill_tokens_per_s, 23417);
  expect(plan_of("deepseek-llm-7b", 16, 2048).prefill_tokens_per_s, 34517);
  // What the driver counted at the peak.
  const auto vram = [](const Placement& planned, double measured_mib) {
    EXPECT_NEAR(static_cast<double>(planned.vram.total()) / (1 << 20), measured_mib,
                0.02 * measured_mib);
  };
  vram(plan(8, 16), 8102);
  vram(plan(16, 16), 16290);
  vram(plan(24, 16), 24484);
  vram(plan(60, 16), 38278);
  vram(plan_of("deepseek-llm-7b", 16, 16), 6326);
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
        if (!plan.uses_card) continue;
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
  for (const size_t l : {0, 3}) model.layers[l].unit_bytes = kUnit / 2 * 3;
  for (uint64_t vram = 0; vram < 80 * kUnit; vram += kUnit / 10 * 7) {
    const Placement plan = plan_placement(model, toy_machine(), toy_goal(vram)).value();
    ASSERT_LE(plan.vram.total(), vram);
    ASSERT_EQ(plan.vram.units + plan.ram.units + plan.ram.streamed, 50 * kUnit);
  }
}

}  // namespace
}  // namespace shoehorn
