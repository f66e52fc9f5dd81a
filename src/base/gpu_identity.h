// Which card this is, and by which driver it is run: what measurements of it hold for.
#pragma once

#include <string>

#include "base/result.h"

namespace shoehorn {

struct GpuIdentity {
  std::string uuid;    // "GPU-6ab3..." as nvidia-smi -L prints it
  std::string driver;  // "580.65.06, CUDA 13.0"
};

// Errors: no such card; no CUDA in this build.
Result<GpuIdentity> gpu_identity(int index);

}  // namespace shoehorn
