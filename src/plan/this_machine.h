// The profile of the machine at hand, from what was found and measured on it.
#pragma once

#include "plan/card_probe.h"
#include "plan/cpu_probe.h"
#include "plan/hardware.h"
#include "plan/machine.h"

namespace shoehorn {

struct MachineProbe {
  HostFacts host;
  CpuProbe cpu;
  Result<CardProbe> card = fail("not measured");
  Result<double> disk_bytes_per_s = fail("not measured");
};

// What was not measured is assumed, and the profile's sources say so. Without a card, one without.
MachineProfile machine_from_probe(const MachineProbe& probe);

}  // namespace shoehorn
