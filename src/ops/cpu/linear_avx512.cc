// Linear kernels for AVX-512 with VNNI.
#include <immintrin.h>

#include "ops/cpu/linear_plain_body.h"
#include "ops/cpu/linear_rounding.h"
#include "ops/cpu/linear_vnni512.h"
#include "ops/cpu/simd_avx512.h"

namespace shoehorn {
namespace {

__mmask16 lanes(int64_t count) {
  return count >= 16 ? 0xFFFF : count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1);
}

// `columns` columns of x, at most 32, to index `at`.
void round_block(const float* x, int64_t columns, const RoundedRows& out, int64_t at) {
  int8_t* codes = out.codes + at * kBlockColumns;
  const __m512 a = _mm512_maskz_loadu_ps(lanes(columns), x);
  const __m512 b = _mm512_maskz_loadu_ps(lanes(columns - 16), x + 16);
  const __m512 largest = _mm512_max_ps(_mm512_abs_ps(a), _mm512_abs_ps(b));
  const RoundingScale scale = rounding_scale(Avx512::largest(largest));
  const __m512 inverse = _mm512_set1_ps(scale.inverse);
  const __m512i qa = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse));
  const __m512i qb = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes), _mm512_cvtsepi32_epi8(qa));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + 16), _mm512_cvtsepi32_epi8(qb));
  store_sums(out, at, scale.scale, _mm512_reduce_add_epi32(qa), _mm512_reduce_add_epi32(qb));
}

void round_row(const RoundArguments& a) {
  for (int64_t block = a.first; block < a.end; ++block) {
    const int64_t column = block * kBlockColumns;
    round_block(a.x + column, a.columns - column, a.out, block * a.stride);
  }
}

}  // namespace

const LinearKernels& linear_kernels_avx512() {
  static constexpr LinearKernels kKernels = {&GroupedBody<Vnni512>::grouped,
                                             &PlainBody<Avx512>::plain,
                                             &GroupedBody<Vnni512>::precise, &round_row};
  return kKernels;
}

}  // namespace shoehorn
