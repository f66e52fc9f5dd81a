// Compiled for AVX2, FMA and F16C; see CMakeLists.txt.
#include "ops/cpu/attention_kernels_body.h"
#include "ops/cpu/simd_avx2.h"
#include "ops/cpu/vector_kernels_body.h"

namespace shoehorn {

const VectorKernels kVectorAvx2 = {.isa = Isa::avx2,
                                   .rms_norm = vector_rms_norm<Avx2>,
                                   .swiglu = vector_swiglu<Avx2>,
                                   .rotate_half = vector_rotate_half<Avx2>,
                                   .rotate_interleaved = vector_rotate_interleaved<Avx2>,
                                   .largest = vector_largest<Avx2>,
                                   .exponentials = vector_exponentials<Avx2>,
                                   .scale = vector_scale<Avx2>,
                                   .to_f16 = vector_to_f16<Avx2>,
                                   .to_bf16 = vector_to_bf16<Avx2>,
                                   .attention_chunk = AttentionKernel<Avx2>::chunk,
                                   .attention_merge = AttentionKernel<Avx2>::merge};

}  // namespace shoehorn
