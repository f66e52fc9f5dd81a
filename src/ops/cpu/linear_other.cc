#include "ops/cpu/linear_kernels.h"

namespace shoehorn {

const LinearKernels& linear_kernels_for(Isa) {
  return linear_kernels_generic();
}

}  // namespace shoehorn
