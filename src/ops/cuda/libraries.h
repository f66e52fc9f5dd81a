// What the CUDA bodies keep beside the stream: cuBLAS, loaded when a card is opened. Linking it
// would map half a gigabyte into every process and keep the program from starting where it is
// missing, cards or no cards.
#pragma once

#include <cublas_v2.h>

#include "ops/gpu.h"

namespace shoehorn {

// The functions of cuBLAS that are used here, under their own names.
struct Blas {
  decltype(&::cublasCreate_v2) create = nullptr;
  decltype(&::cublasDestroy_v2) destroy = nullptr;
  decltype(&::cublasSetStream_v2) set_stream = nullptr;
  decltype(&::cublasSetWorkspace_v2) set_workspace = nullptr;
  // cublasGemmEx, which the header overloads for C++: alpha, A, lda; B, ldb; beta, C, ldc.
  using GemmEx = cublasStatus_t (*)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int m,
                                    int n, int k, const void*, const void*, cudaDataType, int,
                                    const void*, cudaDataType, int, const void*, void*,
                                    cudaDataType, int, cublasComputeType_t, cublasGemmAlgo_t);
  GemmEx gemm_ex = nullptr;
  decltype(&::cublasGetStatusString) status_string = nullptr;

  // Looks where the loader looks, then where this was built. Errors: no library of the right
  // version there.
  static Result<Blas> load();
};

struct Gpu::Libraries {
  Blas blas;
  cublasHandle_t blas_handle = nullptr;
};

}  // namespace shoehorn
