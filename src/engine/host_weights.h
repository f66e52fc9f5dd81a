// A model's weights for the CPU alone: in memory, and on disk what RAM does not hold.
#pragma once

#include <filesystem>
#include <memory>

#include "memory/weight_source.h"
#include "models/load.h"
#include "plan/ram_plan.h"

namespace shoehorn {

// Loads blocks to where `plan` has them; those on disk go to a file without a name in `spill`.
// Errors: the files, the disk.
Result<std::unique_ptr<WeightSource>> load_host(ThreadPool& pool, const Checkpoint& checkpoint,
                                                const ModelLayout& layout, const RamPlan& plan,
                                                const std::filesystem::path& spill,
                                                const LoadProgress& progress);

}  // namespace shoehorn
