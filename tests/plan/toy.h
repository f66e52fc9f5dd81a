// A model and a machine of round numbers, for plans that can be worked out by hand.
#pragma once

#include "plan/placement.h"

namespace shoehorn {

// `layers` layers of 1000 bytes of attention and 10 units of 1000 bytes; a head of 500 and an
// embedding of 700. A token's keys and values are 8 bytes a layer in f16.
inline ModelInventory toy_model(int64_t layers = 2) {
  ModelInventory model;
  model.config.model_name = "toy";
  model.config.num_hidden_layers = layers;
  model.config.hidden_size = 2;
  model.config.num_attention_heads = model.config.num_key_value_heads = 1;
  model.config.head_dim = 2;
  model.weights = "toy weights";
  model.bits_per_weight = 8;
  for (int64_t l = 0; l < layers; ++l) {
    model.layers.push_back({.attention_bytes = 1000,
                            .attention_parameters = 1000,
                            .unit_bytes = 1000,
                            .unit_parameters = 1000,
                            .units = 10});
  }
  model.embedding_bytes = 700;
  model.head_bytes = 500;
  model.head_parameters = 500;
  return model;
}

// The card reads 1 GB/s and is otherwise infinitely fast; the CPU reads 10 kB/s, 2 kB/s less beside
// copies, which are made at 5 kB/s.
inline MachineProfile toy_machine() {
  MachineProfile machine;
  machine.name = "toy";
  machine.vram_bytes = 1 << 30;
  machine.vram_bytes_per_s = 1e9;
  machine.tensor_flops_per_s = 1e18;
  machine.h2d = machine.d2h = {{1, 5000}};
  machine.cores = 1;
  machine.ram_bytes = 1 << 30;
  machine.cpu_read_bytes_per_s = 10000;
  machine.cpu_read_beside_copy_bytes_per_s = 8000;
  machine.cpu_linear_flops_per_s = 1e18;
  machine.disk_bytes_per_s = 1e9;
  return machine;
}

// 64 tokens of context: a KV cache of 512 bytes a layer. A ring of 8 units: at most 4 of
// a layer are streamed.
inline Goal toy_goal(uint64_t vram_budget_bytes) {
  Goal goal;
  goal.vram_budget_bytes = vram_budget_bytes;
  goal.ram_budget_bytes = 1 << 20;
  goal.context = 64;
  goal.prompt_tokens = 1;
  goal.workspace_bytes = 0;
  goal.margin_bytes = 0;
  goal.ring_bytes = 8000;
  goal.copy_bytes = 1000;
  goal.host_overhead_bytes = 0;
  return goal;
}

}  // namespace shoehorn
