// What would help: plans under one change each, from the same formulas as the plan itself.
#pragma once

#include <string>
#include <vector>

#include "plan/placement.h"

namespace shoehorn {

struct Alternative {
  std::string change;  // "3 bits a weight"
  double decode_tokens_per_s = 0;
  double first_token_s = 0;
};

// Changes that make decoding faster than `now`, the most helpful first: fewer bits, a shorter
// context, no card or 8 GiB more of VRAM, a second card of the kind, host memory or a bus of twice
// the rate.
std::vector<Alternative> alternatives(const ModelInventory& model, const MachineProfile& machine,
                                      const Goal& goal, const Placement& now);

}  // namespace shoehorn
