// The profile of this machine: measured once, then kept in the cache directory for as long as
// machine, driver and program are the same.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "plan/machine_cache.h"

namespace shoehorn {

struct MeasureOptions {
  int gpu = 0;
  bool again = false;               // whatever is kept
  std::filesystem::path directory;  // of the cache, whose disk is measured; empty: the user's
  std::function<void(int done, int all)> progress;
};

struct ThisMachine {
  MachineProfile profile;
  bool measured = false;     // now; else it was kept
  std::string why_measured;  // where something kept could not be used
  std::string why_not_kept;  // where the measurement could not be written down
  std::string why_no_card;   // where the profile has none
};

// Measuring takes some seconds, 1 GiB of host memory and 900 MiB of VRAM. Where there is a card
// that cannot be measured now, the profile is without it, and is not kept. Errors: too little
// memory.
Result<ThisMachine> this_machine(const MeasureOptions& options);

// What is kept, without measuring; none: nothing that is sound and of this machine and build.
std::optional<MachineProfile> kept_machine(int gpu);

}  // namespace shoehorn
