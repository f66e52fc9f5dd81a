// A model and a machine of round numbers, for plans that can be worked out by hand.
#pragma once

#include "plan/placement.h"

namespace shoehorn {

// As large as one copy, so that each is one: a ring of 8 of them, of which a layer has 4.
inline constexpr uint64_t kToyUnit = uint64_t{24} << 20;

// `layers` layers of one unit of attention and 10 units of feed-forward; a head of half a unit and
// an embedding of 0.7. A token's keys and values are 8 bytes a layer in f16.
inline ModelInventory toy_model(int64_t layers = 2) {
  constexpr auto kParameters = static_cast<int64_t>(kToyUnit);
  ModelInventory model;
  model.config.model_name = "toy";
  model.config.num_hidden_layers = layers;
  model.config.hidden_size = 2;
  model.config.intermediate_size = 20;
  model.config.num_attention_heads = model.config.num_key_value_heads = 1;
  model.config.head_dim = 2;
  model.config.vocab_size = 10;
  model.weights = "toy weights";
  model.bits_per_weight = 8;
  for (int64_t l = 0; l < layers; ++l) {
    model.layers.push_back({.attention_bytes = kToyUnit,
                            .attention_parameters = kParameters,
                            .unit_bytes = kToyUnit,
                            .unit_parameters = kParameters,
                            .units = 10});
  }
  model.embedding_bytes = kToyUnit / 10 * 7;
  model.head_bytes = kToyUnit / 2;
  model.head_parameters = kParameters / 2;
  return model;
}

// The card reads a million units a second and is otherwise infinitely fast; the CPU reads 10, 8
// beside copies, which are made at 5.
inline MachineProfile toy_machine() {
  constexpr auto kUnit = static_cast<double>(kToyUnit);
  MachineProfile machine;
  machine.name = "toy";
  machine.vram_bytes = uint64_t{1} << 40;
  machine.vram_bytes_per_s = 1e6 * kUnit;
  machine.tensor_flops_per_s = 1e30;
  machine.h2d = machine.d2h = {{1, 5 * kUnit}};
  machine.cores = 1;
  machine.ram_bytes = uint64_t{1} << 40;
  machine.cpu_read_bytes_per_s = 10 * kUnit;
  machine.cpu_read_beside_copy_bytes_per_s = 8 * kUnit;
  machine.cpu_linear_flops_per_s = 1e30;
  machine.disk_bytes_per_s = 1e9;
  return machine;
}

// 64 tokens of context: a KV cache of 512 bytes a layer.
inline Goal toy_goal(uint64_t vram_budget_bytes) {
  Goal goal;
  goal.vram_budget_bytes = vram_budget_bytes;
  goal.ram_budget_bytes = uint64_t{1} << 40;
  goal.context = 64;
  goal.prompt_tokens = 1;
  goal.prefill_rows = 64;
  goal.host_overhead_bytes = 0;
  return goal;
}

// What the toy takes of VRAM beside weights in units: the head and what is not weights.
inline uint64_t toy_fixed(const Goal& goal = toy_goal(0), int64_t layers = 2) {
  const ModelInventory model = toy_model(layers);
  const CardPlan plan =
      plan_card(model, {.limits = {.max_rows = std::max(goal.prefill_rows, goal.batch),
                                   .max_context = goal.context},
                        .kv_bytes = model.kv_cache_bytes(goal.kv_dtype, goal.context, goal.batch),
                        .vram_budget_bytes = uint64_t{1} << 40})
          .value();
  return plan.total() - plan.groups - plan.attention;
}

}  // namespace shoehorn
