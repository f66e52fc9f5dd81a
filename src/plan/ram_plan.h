// What a budget of RAM is spent on, and which weights are read from disk in every step because RAM
// does not hold them. The engine loads by this, and a plan shows it. Pure.
//
// In RAM whatever the budget: the program and its workspace, a KV cache that is there, the
// embedding, and on the CPU alone the head; attention that is streamed to a card. What must be read
// from disk is spread evenly over the layers, so that reads run while other layers are computed:
// whole blocks on the CPU alone, attention before feed-forwards as far as that is enough; beside a
// card neuron groups, the last ones of each layer, which are streamed on to the card. It goes
// through a ring that holds the largest run of a layer three times.
#pragma once

#include <cstdint>
#include <vector>

#include "models/inventory.h"
#include "plan/card_plan.h"

namespace shoehorn {

struct RamTerms {
  uint64_t ram_budget_bytes = UINT64_MAX;
  uint64_t fixed_bytes = 0;  // program, workspace, activations, staging
  uint64_t kv_bytes = 0;     // of a cache in RAM
};

struct RamPlan {
  uint64_t fixed = 0;
  uint64_t embedding = 0;
  uint64_t head = 0;
  uint64_t kv = 0;
  uint64_t attention = 0;               // blocks in RAM; and norms
  uint64_t groups = 0;                  // in RAM
  uint64_t ring = 0;                    // for what is read from disk
  uint64_t disk = 0;                    // on disk
  std::vector<bool> attention_on_disk;  // of each layer
  std::vector<int64_t> disk_groups;  // of each layer, the last ones; on the CPU alone all or none
  uint64_t total() const { return fixed + embedding + head + kv + attention + groups + ring; }
};

// Everything on the host. Errors: the budget does not hold what must be in RAM; says what would.
Result<RamPlan> plan_ram(const ModelInventory& model, const RamTerms& terms);

// Beside a card: what its plan leaves to the host. Errors: as above.
Result<RamPlan> plan_ram(const ModelInventory& model, const CardPlan& card, const RamTerms& terms);

}  // namespace shoehorn
