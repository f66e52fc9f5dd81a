// Placing without judging: what plan_placement and its advice are made of.
#pragma once

#include "plan/placement.h"

namespace shoehorn {

// The best placement for the card's budget, whether or not it fits into RAM.
Placement place(const ModelInventory& model, const MachineProfile& machine, const Goal& goal);

inline bool fits(const Placement& placement, const Goal& goal) {
  return placement.why_no_room.empty() && placement.vram.total() <= goal.vram_budget_bytes &&
         placement.ram.total() <= goal.ram_budget_bytes;
}

// Changes to the goal under which a model fits that does not: "--bits 3; --ram 25GiB"; "" where
// there is none among fewer bits, a shorter context, more RAM.
std::string what_would_fit(const ModelInventory& model, const MachineProfile& machine,
                           const Goal& goal);

}  // namespace shoehorn
