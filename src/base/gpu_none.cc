#include "base/gpu.h"

namespace shoehorn {

int gpu_count() {
  return 0;
}

std::string why_no_gpu() {
  return "this build has no CUDA";
}

Result<GpuFacts> gpu_facts(int index) {
  return fail("GPU {}: {}", index, why_no_gpu());
}

Result<uint64_t> gpu_process_bytes(int index) {
  return fail("GPU {}: {}", index, why_no_gpu());
}

}  // namespace shoehorn
