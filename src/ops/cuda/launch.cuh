// Launching a kernel so that it may start while the one before it still runs.
//
// A decoding step is some hundred kernels of a few microseconds, and between two of them the card
// would idle for about one. With programmatic dependent launch (compute capability 9.0) a kernel's
// blocks come up while the previous kernel drains, and do what does not depend on it: here, fetch
// weights. wait_for_previous_kernel() then returns when everything that the previous kernel wrote
// is visible; each thread calls it before it touches such data, or writes anything. Because every
// kernel launched like this waits, "previous" covers all kernels before it too.
#pragma once

#include <cuda_runtime.h>

#include <nv/target>

#include "base/cuda_check.h"
#include "ops/gpu.h"

namespace shoehorn {

__device__ inline void wait_for_previous_kernel() {
  NV_IF_TARGET(NV_PROVIDES_SM_90, (asm volatile("griddepcontrol.wait;" ::: "memory");))
}
// From here on the next kernel's blocks may take what room this kernel leaves on the card.
__device__ inline void let_next_kernel_start() {
  NV_IF_TARGET(NV_PROVIDES_SM_90, (asm volatile("griddepcontrol.launch_dependents;");))
}

// CUDA_CHECK outside of templates, in which nvcc cannot check fmt's format strings.
inline void check_status(cudaError_t status) {
  CUDA_CHECK(status);
}

template <typename... Parameters, typename... Arguments>
void launch_overlapped(Gpu& gpu, void (*kernel)(Parameters...), dim3 grid, dim3 block,
                       size_t shared_bytes, const Arguments&... arguments) {
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = gpu.stream();
  config.attrs = &attribute;
  config.numAttrs = gpu.facts().compute_capability >= 90 ? 1 : 0;
  check_status(cudaLaunchKernelEx(&config, kernel, arguments...));
}

}  // namespace shoehorn
