// Vectors of 16 floats for the kernel templates. Included only by files compiled for AVX-512; every
// function is a member of Avx512, so none can be confused with another instruction set's.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace shoehorn {

struct Avx512 {
  using Floats = __m512;
  static constexpr int64_t kLanes = 16;
  // Attention: scores of 8 queries x 2 vectors of keys, outputs of 4 queries x 4 vectors of values
  // at a time: 16 sums, and few loads for so many multiply-adds.
  static constexpr int kScoreQueries = 8;
  static constexpr int kScoreVectors = 2;
  static constexpr int kValueQueries = 4;
  static constexpr int kValueVectors = 4;

  static Floats zero() { return _mm512_setzero_ps(); }
  static Floats broadcast(float x) { return _mm512_set1_ps(x); }
  static Floats load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Floats x) { _mm512_storeu_ps(p, x); }

  // The first count < kLanes lanes: 0 elsewhere; not written elsewhere.
  static __mmask16 mask(int64_t count) { return static_cast<__mmask16>((1u << count) - 1); }
  static Floats load(const float* p, int64_t count) {
    return _mm512_maskz_loadu_ps(mask(count), p);
  }
  static void store(float* p, Floats x, int64_t count) { _mm512_mask_storeu_ps(p, mask(count), x); }
  // Lanes from `count` on replaced by `other`.
  static Floats keep(Floats x, int64_t count, Floats other) {
    return _mm512_mask_blend_ps(mask(count), other, x);
  }

  static Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  static Floats subtract(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
  static Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static Floats divide(Floats a, Floats b) { return _mm512_div_ps(a, b); }
  static Floats max(Floats a, Floats b) { return _mm512_max_ps(a, b); }
  static Floats min(Floats a, Floats b) { return _mm512_min_ps(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
  static Floats round(Floats x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }

  // x * 2^n for integral n, rounded once.
  static Floats scale_by_power(Floats x, Floats n) { return _mm512_scalef_ps(x, n); }

  // Lane i + lane i+8, then i + i+4, i + i+2, i + i+1.
  static float sum(Floats x) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  static float largest(Floats x) {
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }

  // Row i of the result: lane i of each row.
  static void transpose(Floats (&x)[16]) {
    for (int i = 0; i < 16; i += 4) {  // 4 x 4 in each quarter
      const __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(x[i], x[i + 1]));
      const __m512d b = _mm512_castps_pd(_mm512_unpackhi_ps(x[i], x[i + 1]));
      const __m512d c = _mm512_castps_pd(_mm512_unpacklo_ps(x[i + 2], x[i + 3]));
      const __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(x[i + 2], x[i + 3]));
      x[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
      x[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
      x[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
      x[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
    }
    for (int i = 0; i < 4; ++i) {  // then the quarters: row i + 4j holds column i + 4k in quarter k
      const __m512 a = x[i], b = x[i + 4], c = x[i + 8], d = x[i + 12];
      const __m512 ab_even = _mm512_shuffle_f32x4(a, b, 0x88);
      const __m512 ab_odd = _mm512_shuffle_f32x4(a, b, 0xDD);
      const __m512 cd_even = _mm512_shuffle_f32x4(c, d, 0x88);
      const __m512 cd_odd = _mm512_shuffle_f32x4(c, d, 0xDD);
      x[i] = _mm512_shuffle_f32x4(ab_even, cd_even, 0x88);
      x[i + 4] = _mm512_shuffle_f32x4(ab_odd, cd_odd, 0x88);
      x[i + 8] = _mm512_shuffle_f32x4(ab_even, cd_even, 0xDD);
      x[i + 12] = _mm512_shuffle_f32x4(ab_odd, cd_odd, 0xDD);
    }
  }

  // Rotary pairs (x0, x1), (x2, x3), ..: lanes swapped within pairs; each of kLanes / 2 factors
  // twice; a - b in even lanes, a + b in odd ones.
  static Floats swap_pairs(Floats x) { return _mm512_permute_ps(x, 0xB1); }
  static Floats load_twice(const float* p) {
    const __m512 eight = _mm512_castps256_ps512(_mm256_loadu_ps(p));
    return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7),
                                 eight);
  }
  static Floats subtract_add(Floats a, Floats b) {
    return _mm512_fmaddsub_ps(a, _mm512_set1_ps(1.0f), b);
  }

  static Floats load_f16(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Floats load_bf16(const uint16_t* p) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
  }
  // Rounded to nearest even.
  static void store_f16(uint16_t* p, Floats x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static void store_bf16(uint16_t* p, Floats x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i bias = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF));
    const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, bias), 16);
    const __m512i quiet = _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtepi32_epi16(_mm512_mask_blend_epi32(is_nan, rounded, quiet)));
  }

  static void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
};

}  // namespace shoehorn
