// What a budget of VRAM is spent on, and which neuron groups of a layer lie where. The engine loads
// by this, and a plan shows it. Pure.
//
// On the card whatever the budget: context, norms, head, KV cache, workspace, a margin; then all
// attention, and as many neuron groups as fit beside a ring that the others are streamed through.
// Where attention does not fit, a ring of two of its blocks, as many blocks as fit, and groups in
// what is left.
#pragma once

#include <cstdint>
#include <vector>

#include "models/inventory.h"
#include "models/workspace.h"

namespace shoehorn {

// How many neuron groups of a layer lie where; the sum is the layer's count.
struct GroupCounts {
  int64_t vram = 0;
  int64_t cpu = 0;
  int64_t stream = 0;
};

// What a model is to do on the card.
struct CardTerms {
  WorkspaceLimits limits;      // few_rows and wave_neurons are the plan's to set
  uint64_t kv_bytes = 0;       // of the whole cache
  uint64_t context_bytes = 0;  // what the driver and libraries take before anything of ours
  uint64_t vram_budget_bytes = 0;
};

struct CardPlan {
  uint64_t context = 0;
  uint64_t fixed = 0;      // norms, head
  uint64_t attention = 0;  // attention blocks that stay
  uint64_t kv = 0;
  uint64_t workspace = 0;       // and the scratch of large products
  uint64_t ring = 0;            // streamed groups
  uint64_t attention_ring = 0;  // streamed attention blocks
  uint64_t groups = 0;          // neuron groups that stay
  uint64_t margin = 0;          // kept free: kernels that the driver loads later, a step's indices
  std::vector<int64_t> vram_groups;     // of each layer
  std::vector<int64_t> host_groups;     // of each layer
  std::vector<bool> attention_in_vram;  // of each layer
  WorkspaceLimits limits;               // of steps
  int64_t slot_groups = 1;              // groups in a slot of the ring
  uint64_t slot_bytes = 0;
  int64_t slots = 0;
  uint64_t total() const {
    return context + fixed + attention + kv + workspace + ring + attention_ring + groups + margin;
  }
};

// Tokens of a step, at most those of all sequences. asked: how many the caller wants; 0: nobody
// says. Then 512 on the CPU alone (a budget of 0). What is outside VRAM is copied once a step, so
// that longer steps read a prompt faster; their workspace takes room from weights. So on a card: as
// many, up to 2048, as a 24th of the budget holds, and 256 at least.
int64_t step_rows(const ModelConfig& config, int64_t context, int64_t sequences,
                  uint64_t vram_budget_bytes, int64_t asked);

// Errors: the budget does not hold what must be on the card; says what would.
Result<CardPlan> plan_card(const ModelInventory& model, const CardTerms& terms);

// The groups of each layer when `share` of those outside VRAM is streamed: spread evenly, and no
// more in a layer than the ring holds beside those of the next one. `disk_groups`: of each layer,
// the last ones, which are streamed in any case; empty: none. Where some layer has more of them
// than the ring holds, all that is outside VRAM is streamed, in waves, and nothing is the CPU's.
std::vector<GroupCounts> split_layers(const CardPlan& plan, double share,
                                      const std::vector<int64_t>& disk_groups = {});
bool streams_in_waves(const CardPlan& plan, const std::vector<int64_t>& disk_groups);

}  // namespace shoehorn
