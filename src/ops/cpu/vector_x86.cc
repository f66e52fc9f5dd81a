#include "ops/cpu/vector_kernels.h"

namespace shoehorn {

const VectorKernels& vector_kernels_for(Isa isa) {
  if (isa >= Isa::avx512) return kVectorAvx512;
  if (isa >= Isa::avx2) return kVectorAvx2;
  return kVectorGeneric;
}

}  // namespace shoehorn
