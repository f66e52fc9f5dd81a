// Vectors of 8 floats for the kernel templates. Included only by files compiled for AVX2, FMA and
// F16C; every function is a member of Avx2, so none can be confused with another instruction set's.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace shoehorn {

struct Avx2 {
  using Floats = __m256;
  static constexpr int64_t kLanes = 8;
  static constexpr int kQueryBlock = 2;   // attention: scores of 2 queries x 4 keys at a time
  static constexpr int kVectorBlock = 2;  // attention: 4 queries x 2 vectors of values at a time

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

  // out[query][key] = sum of the lanes of x[query][key], each in the order of sum().
  static void store_sums(const Floats (&x)[2][4], float* const (&out)[2]) {
    const __m256 t0 = fold_halves(x[0][0], x[1][0]), t1 = fold_halves(x[0][1], x[1][1]);
    const __m256 t2 = fold_halves(x[0][2], x[1][2]), t3 = fold_halves(x[0][3], x[1][3]);
    const __m256 t01 = fold_pairs(t0, t1), t23 = fold_pairs(t2, t3);
    const __m256 sums =
        _mm256_add_ps(_mm256_shuffle_ps(t01, t23, 0x88), _mm256_shuffle_ps(t01, t23, 0xDD));
    _mm_storeu_ps(out[0], _mm256_castps256_ps128(sums));
    _mm_storeu_ps(out[1], _mm256_extractf128_ps(sums, 1));
  }
  static Floats fold_halves(Floats a, Floats b) {  // [a0+a4 .. a3+a7, b0+b4 .. b3+b7]
    return _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
  }
  static Floats fold_pairs(Floats a, Floats b) {  // a half: [a0+a2, a1+a3, b0+b2, b1+b3]
    const __m256d x = _mm256_castps_pd(a), y = _mm256_castps_pd(b);
    return _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(x, y)),
                         _mm256_castpd_ps(_mm256_unpackhi_pd(x, y)));
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
