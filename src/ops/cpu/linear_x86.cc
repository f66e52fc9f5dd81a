#include "ops/cpu/linear_kernels.h"

namespace shoehorn {

const LinearKernels& linear_kernels_for(Isa isa) {
  if (isa >= Isa::amx) return linear_kernels_amx();
  if (isa >= Isa::avx512) return linear_kernels_avx512();
  if (isa >= Isa::avx2) return linear_kernels_avx2();
  return linear_kernels_generic();
}

}  // namespace shoehorn
