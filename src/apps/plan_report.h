// What `shoehorn plan` says: text, JSON, a picture.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/inventory.h"
#include "plan/advice.h"
#include "plan/machine.h"
#include "plan/placement.h"

namespace shoehorn {

struct PlanReport {
  ModelInventory model;
  MachineProfile machine;
  Goal goal;
  Placement placement;
  std::vector<Alternative> alternatives;
  uint64_t file_bytes = 0;  // of the model on disk; where there is no file, what one would take
};

// A kind of bytes and where it lies.
struct PlanPart {
  const char* key;    // "feed_forward_cpu"
  const char* brief;  // "CPU's units": where there is little room
  const char* label;  // "feed-forward, computed by the CPU"
  uint64_t vram_bytes = 0;
  uint64_t ram_bytes = 0;
  uint64_t disk_bytes = 0;  // read in every step
};
std::vector<PlanPart> parts_of(const Placement& placement);  // those that are not empty

std::string plan_text(const PlanReport& report);
std::string plan_json(const PlanReport& report);

// A map of memory: a bar for VRAM, RAM and disk each, all of one scale. Readable on light and dark
// pages.
std::string plan_svg(const PlanReport& report);

}  // namespace shoehorn
