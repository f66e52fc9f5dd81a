// How long a placed model's steps take: the formulas of placement.h.
#pragma once

#include "plan/placement.h"

namespace shoehorn {

// A decode step of goal.batch sequences at the depth of the prompt.
StepTimes decode_times(const ModelInventory& model, const MachineProfile& machine, const Goal& goal,
                       const Placement& placement);

// All chunks of one prompt, and its first token's logits.
StepTimes prefill_times(const ModelInventory& model, const MachineProfile& machine,
                        const Goal& goal, const Placement& placement);

}  // namespace shoehorn
