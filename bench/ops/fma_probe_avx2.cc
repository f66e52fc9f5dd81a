#include "bench/ops/fma_probe.h"
#include "ops/cpu/simd_avx2.h"

namespace shoehorn {

const FmaProbe kFmaAvx2 = {Avx2::kLanes, run_fma<Avx2>};

}  // namespace shoehorn
