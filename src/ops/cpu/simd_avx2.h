// Vectors of 8 floats for the kernel templates. Included only by files compiled for AVX2, FMA and
// F16C; every function is a member of Avx2, so none can be confused with another instruction set's.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace shoehorn {

struct Avx2 {
  using Floats = __m256;
  static constexpr int64_t kLanes = 8;
  // Attention: scores of 6 queries x 2 vectors of keys, outputs of 6 queries x 2 vectors of values
  // at a time: 12 sums to hide the latency of a multiply-add, and 16 registers hold no more.
  static constexpr int kScoreQueries = 6;
  static constexpr int kScoreVectors = 2;
  static constexpr int kValueQueries = 6;
  static constexpr int kValueVectors = 2;

  static Floats zero() { return _mm256_setzero_ps(); }
  static Floats broadcast(float x) { return _mm256_set1_ps(x); }
  static Floats load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Floats x) { _mm256_storeu_ps(p, x); }

  // The first count < kLanes lanes: 0 elsewhere; not written elsewhere.
  static __m256i mask(int64_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Floats load(const float* p, int64_t count) { return _mm256_maskload_ps(p, mask(count)); }
  static void store(float* p, Floats x, int64_t count) { _mm256_maskstore_ps(p, mask(count), x); }
  // Lanes from `count` on replaced by `other`.
  static Floats keep(Floats x, int64_t count, Floats other) {
    return _mm256_blendv_ps(other, x, _mm256_castsi256_ps(mask(count)));
  }

  static Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
  static Floats subtract(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
  static Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static Floats divide(Floats a, Floats b) { return _mm256_div_ps(a, b); }
  static Floats max(Floats a, Floats b) { return _mm256_max_ps(a, b); }
  static Floats min(Floats a, Floats b) { return _mm256_min_ps(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
  static Floats round(Floats x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }

  // x * 2^n for integral n in [-252, 254], rounded once.
  static Floats scale_by_power(Floats x, Floats n) {
    const __m256i exponent = _mm256_cvtps_epi32(n);
    const __m256i half = _mm256_srai_epi32(exponent, 1);
    return _mm256_mul_ps(_mm256_mul_ps(x, power(half)), power(_mm256_sub_epi32(exponent, half)));
  }
  static Floats power(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }

  // Lane i + lane i+4, then i + i+2, then i + i+1.
  static float sum(Floats x) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  static float largest(Floats x) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }

  // Row i of the result: lane i of each row.
  static void transpose(Floats (&x)[8]) {
    for (int i = 0; i < 8; i += 4) {  // 4 x 4 in each half
      const __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(x[i], x[i + 1]));
      const __m256d b = _mm256_castps_pd(_mm256_unpackhi_ps(x[i], x[i + 1]));
      const __m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(x[i + 2], x[i + 3]));
      const __m256d d = _mm256_castps_pd(_mm256_unpackhi_ps(x[i + 2], x[i + 3]));
      x[i] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c));
      x[i + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c));
      x[i + 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d));
      x[i + 3] = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
    }
    for (int i = 0; i < 4; ++i) {  // then the halves
      const __m256 low = x[i], high = x[i + 4];
      x[i] = _mm256_permute2f128_ps(low, high, 0x20);
      x[i + 4] = _mm256_permute2f128_ps(low, high, 0x31);
    }
  }

  // Rotary pairs (x0, x1), (x2, x3), ..: lanes swapped within pairs; each of kLanes / 2 factors
  // twice; a - b in even lanes, a + b in odd ones.
  static Floats swap_pairs(Floats x) { return _mm256_permute_ps(x, 0xB1); }
  static Floats load_twice(const float* p) {
    const __m256 four = _mm256_castps128_ps256(_mm_loadu_ps(p));
    return _mm256_permutevar8x32_ps(four, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
  }
  static Floats subtract_add(Floats a, Floats b) { return _mm256_addsub_ps(a, b); }

  static Floats load_f16(const uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Floats load_bf16(const uint16_t* p) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
  }
  // Rounded to nearest even.
  static void store_f16(uint16_t* p, Floats x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                     _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static void store_bf16(uint16_t* p, Floats x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i bias = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF));
    const __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, bias), 16);
    const __m256i quiet = _mm256_or_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(0x40));
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i result = _mm256_blendv_epi8(rounded, quiet, is_nan);
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(p),
        _mm_packus_epi32(_mm256_castsi256_si128(result), _mm256_extracti128_si256(result, 1)));
  }

  static void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
};

}  // namespace shoehorn
