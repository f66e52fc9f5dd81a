#include "bench/ops/fma_probe.h"
#include "ops/cpu/simd_avx512.h"

namespace shoehorn {

const FmaProbe kFmaAvx512 = {Avx512::kLanes, run_fma<Avx512>};

}  // namespace shoehorn
