// What the CUDA bodies keep beside the stream.
#pragma once

#include <cublas_v2.h>

#include "ops/gpu.h"

namespace shoehorn {

struct Gpu::Libraries {
  cublasHandle_t blas = nullptr;
};

}  // namespace shoehorn
