// A measured machine's profile in a file, with what it was measured on beside it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "plan/hardware.h"
#include "plan/machine.h"

namespace shoehorn {

// What a measurement holds for. Another value of any of these, and it is made anew.
struct MachineKey {
  std::string processor;   // its model
  std::string processors;  // those that this process may use: "0-7,16-23"
  double cpu_limit = 0;    // CPUs that a cgroup grants; 0: no limit
  int threads = 0;         // that compute by default
  std::string isa;
  uint64_t memory_bytes = 0;
  std::string card;  // empty: none
  std::string card_uuid;
  std::string driver;
  std::string build;  // of this program
  bool operator==(const MachineKey&) const = default;
};
MachineKey machine_key(const HostFacts& host, int gpu);

// A file for each machine and card; another driver or build writes over it.
std::filesystem::path machine_cache_path(const std::filesystem::path& directory,
                                         const MachineKey& key);

// None: there is no such file. Errors: it cannot be read, is damaged, or holds for another machine,
// driver or build; they name file and field.
Result<std::optional<MachineProfile>> load_machine(const std::filesystem::path& path,
                                                   const MachineKey& key);

// Makes the directory if need be. Whole or not at all. Errors: it cannot be written.
Result<void> store_machine(const std::filesystem::path& path, const MachineKey& key,
                           const MachineProfile& machine);

}  // namespace shoehorn
