// The profile of the machine at hand, from what was found and measured on it.
#pragma once

#include "plan/card_probe.h"
#include "plan/hardware.h"
#include "plan/machine.h"

namespace shoehorn {

// `disk_bytes_per_s`: measured, or 0. What no probe measures is assumed, and the profile's sources
// say so.
MachineProfile machine_from_probe(const HostFacts& host, const CardProbe& card,
                                  double disk_bytes_per_s);

}  // namespace shoehorn
