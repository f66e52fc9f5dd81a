// A Forward on a card that is too small for the model.
//
// Head, KV cache and attention are on the card; where VRAM does not hold all attention blocks, the
// others are streamed in every step. Every feed-forward is cut into neuron groups, in
// ascending order: the first lie in VRAM; the next in host memory, where the CPU computes them; the
// last in host memory too, and are streamed to the card in every step. All three are at work at the
// same time within a layer, and activations are exchanged once:
//
//   card   norm -> n ----> groups in VRAM and streamed ones: x += ... -----> x += y
//   CPU             \----> its groups: y = ...  ----------------------------/
//   copies  streamed groups of the layers to come, as far ahead as the ring holds
//
// How many rows are worth the CPU's while, and which share it gets, is found by trial. Steps of more
// rows (prompts) leave nothing to it: all groups in host memory are streamed under the computation,
// wave by wave.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/forward.h"
#include "formats/checkpoint.h"
#include "models/load.h"
#include "ops/gpu.h"

namespace shoehorn {

// How many neuron groups of a layer lie where; the sum is the layer's count.
struct GroupCounts {
  int64_t vram = 0;
  int64_t cpu = 0;
  int64_t stream = 0;
};

struct HybridOptions {
  WorkspaceLimits limits;  // few_rows and wave_neurons are set here
  KvOptions kv;
  Precision precision = Precision::fast;
  uint64_t vram_budget_bytes = 0;  // everything the process may hold on the card
  // Of the groups outside VRAM, the share that is streamed when few rows are computed; the CPU has
  // the others. none: the fastest one found by trial when the model is opened, for each number of
  // rows up to decode_rows.
  std::optional<double> stream_share;
  int64_t decode_rows = 1;  // of the largest decoding step
};

// What a budget of VRAM is spent on, bytes.
struct CardPlan {
  uint64_t context = 0;    // what the driver and libraries take before anything of ours
  uint64_t fixed = 0;      // norms, head
  uint64_t attention = 0;  // attention blocks that stay
  uint64_t kv = 0;
  uint64_t workspace = 0;  // and the scratch of large products, and the step's indices
  uint64_t ring = 0;       // streamed groups
  uint64_t attention_ring = 0;  // streamed attention blocks
  uint64_t groups = 0;     // neuron groups that stay
  uint64_t margin = 0;     // kept free: kernels that the driver loads later
  std::vector<int64_t> vram_groups;     // of each layer
  std::vector<bool> attention_in_vram;  // of each layer
  int64_t slot_groups = 1;  // groups in a slot of the ring
  int64_t slots = 0;
  uint64_t total() const {
    return context + fixed + attention + kv + workspace + ring + attention_ring + groups + margin;
  }
};

// The groups of each layer when `share` of those outside VRAM is streamed: spread evenly, and no
// more in a layer than the ring holds beside those of the next one.
std::vector<GroupCounts> split_layers(const ModelLayout& layout, const CardPlan& plan,
                                      double share);

// Pure. Errors: the budget does not hold what must be on the card; says what would.
Result<CardPlan> plan_card(const Model& model, const HybridOptions& options,
                           uint64_t context_bytes);

struct CardRequest {
  int gpu = 0;
  HybridOptions hybrid;
  LoadProgress progress;
};
// Opens the card, plans and loads. Errors: the budget, the card, the files; no CUDA in this build.
Result<std::unique_ptr<Forward>> open_on_card(ThreadPool& pool, const Model& model,
                                              const Checkpoint& checkpoint,
                                              const CardRequest& request);

}  // namespace shoehorn
