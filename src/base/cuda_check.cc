#include "base/cuda_check.h"

namespace shoehorn {

Error cuda_failure(cudaError_t status, const char* what) {
  cudaGetLastError();
  return fail("{}: {} ({})", what, cudaGetErrorString(status), cudaGetErrorName(status));
}

}  // namespace shoehorn
