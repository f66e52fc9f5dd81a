#include <dlfcn.h>

#include <string>

#include "base/fault.h"
#include "ops/cuda/libraries.h"

namespace shoehorn {
namespace {

template <typename Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

}  // namespace

Result<Blas> Blas::load() {
  const std::string name = fmt::format("libcublas.so.{}", CUBLAS_VER_MAJOR);
  if (fault(FaultPoint::card_library)) return fail("{}: refused on purpose", name);
  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    library = dlopen((CUDA_LIBRARY_FOLDER "/" + name).c_str(), RTLD_NOW | RTLD_LOCAL);
  }
  if (library == nullptr) {
    return fail("{}: expected beside the other libraries of CUDA or in {}: {}", name,
                CUDA_LIBRARY_FOLDER, dlerror());
  }
  Blas blas;
  if (!find(library, "cublasCreate_v2", blas.create) ||
      !find(library, "cublasDestroy_v2", blas.destroy) ||
      !find(library, "cublasSetStream_v2", blas.set_stream) ||
      !find(library, "cublasSetWorkspace_v2", blas.set_workspace) ||
      !find(library, "cublasGemmEx", blas.gemm_ex) ||
      !find(library, "cublasGetStatusString", blas.status_string)) {
    return fail("{}: {}", name, dlerror());
  }
  return blas;
}

}  // namespace shoehorn
