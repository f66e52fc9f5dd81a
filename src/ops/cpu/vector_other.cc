#include "ops/cpu/vector_kernels.h"

namespace shoehorn {

const VectorKernels& vector_kernels_for(Isa) {
  return kVectorGeneric;
}

}  // namespace shoehorn
