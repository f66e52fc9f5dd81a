#include "base/gpu.h"
#include "base/gpu_identity.h"

namespace shoehorn {

Result<GpuIdentity> gpu_identity(int index) {
  return fail("GPU {}: {}", index, why_no_gpu());
}

}  // namespace shoehorn
