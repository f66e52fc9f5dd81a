// Linear kernels for AVX-512 with VNNI.
#include <immintrin.h>

#include "ops/cpu/linear_plain_body.h"
#include "ops/cpu/linear_vnni512.h"
#include "ops/cpu/simd_avx512.h"

namespace shoehorn {
namespace {

// xq = round(x / sx) for a block of 32 columns at a time.
void round_row(const float* x, int64_t columns, const RoundedRow& out) {
  const int64_t blocks = (columns + kBlockColumns - 1) / kBlockColumns;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t c = block * kBlockColumns;
    const int64_t left = columns - c;
    const __mmask16 first = left >= 16 ? 0xFFFF : static_cast<__mmask16>((1u << left) - 1);
    const __mmask16 second = left >= 32   ? 0xFFFF
                             : left <= 16 ? 0
                                          : static_cast<__mmask16>((1u << (left - 16)) - 1);
    const __m512 a = _mm512_maskz_loadu_ps(first, x + c);
    const __m512 b = _mm512_maskz_loadu_ps(second, x + c + 16);
    const float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b)));
    const float scale = largest / 127.0f;
    const __m512 inverse = _mm512_set1_ps(scale > 0 ? 1.0f / scale : 0.0f);
    const __m512i qa = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse));
    const __m512i qb = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out.codes + c), _mm512_cvtsepi32_epi8(qa));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out.codes + c + 16), _mm512_cvtsepi32_epi8(qb));
    const int32_t first_sum = _mm512_reduce_add_epi32(qa), second_sum = _mm512_reduce_add_epi32(qb);
    out.scales[block] = scale;
    out.block_sums[block] = scale * static_cast<float>(first_sum + second_sum);
    out.half_sums[block * 2] = scale * static_cast<float>(first_sum);
    out.half_sums[block * 2 + 1] = scale * static_cast<float>(second_sum);
  }
}

}  // namespace

const LinearKernels& linear_kernels_avx512() {
  static constexpr LinearKernels kKernels = {&GroupedBody<Vnni512>::grouped,
                                             &PlainBody<Avx512>::plain, &round_row};
  return kKernels;
}

}  // namespace shoehorn
