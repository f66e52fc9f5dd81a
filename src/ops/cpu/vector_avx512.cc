// Compiled for AVX-512 F, BW, DQ, VL and VNNI; see CMakeLists.txt.
#include "ops/cpu/attention_kernels_body.h"
#include "ops/cpu/simd_avx512.h"
#include "ops/cpu/vector_kernels_body.h"

namespace shoehorn {

const VectorKernels kVectorAvx512 = {.isa = Isa::avx512,
                                     .rms_norm = vector_rms_norm<Avx512>,
                                     .swiglu = vector_swiglu<Avx512>,
                                     .rotate_half = vector_rotate_half<Avx512>,
                                     .rotate_interleaved = vector_rotate_interleaved<Avx512>,
                                     .largest = vector_largest<Avx512>,
                                     .exponentials = vector_exponentials<Avx512>,
                                     .scale = vector_scale<Avx512>,
                                     .to_f16 = vector_to_f16<Avx512>,
                                     .to_bf16 = vector_to_bf16<Avx512>,
                                     .attention_chunk = AttentionKernel<Avx512>::chunk,
                                     .attention_merge = AttentionKernel<Avx512>::merge};

}  // namespace shoehorn
