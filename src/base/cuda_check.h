// What files that call CUDA share: errors as Results, and CUDA_CHECK for calls that only a bug of
// ours can make fail. Included by CUDA bodies alone; everything else knows a card through gpu.h.
#pragma once

#include <cuda_runtime_api.h>

#include "base/check.h"
#include "base/result.h"

namespace shoehorn {

// "what: out of memory (cudaErrorMemoryAllocation)"; clears the error where it does not stick.
Error cuda_failure(cudaError_t status, const char* what);

inline Result<void> cuda_result(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return {};
  return cuda_failure(status, what);
}

}  // namespace shoehorn

// CUDA_CHECK(cudaEventRecord(event, stream)); and after a launch: CUDA_CHECK(cudaGetLastError());
#define CUDA_CHECK(call)                                                          \
  do {                                                                            \
    const cudaError_t cuda_status = (call);                                       \
    CHECK(cuda_status == cudaSuccess, "{} ({})", cudaGetErrorString(cuda_status), \
          cudaGetErrorName(cuda_status));                                         \
  } while (0)
