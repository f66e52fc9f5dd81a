// The operations of grouped kernels on AVX-512 with VNNI: a 64-byte code vector is 16 rows x 4
// columns, the operand of VPDPBUSD. Included only by files compiled for it.
#pragma once

#include <immintrin.h>

#include "ops/cpu/linear_grouped_body.h"

namespace shoehorn {

struct Vnni512 {
  using Floats = __m512;
  using Ints = __m512i;
  using Codes = __m512i;  // one quad of 16 rows, unsigned
  static constexpr int64_t kRows = 16;
  static constexpr int kSums = 8;

  static Floats zero() { return _mm512_setzero_ps(); }
  static Floats broadcast(float x) { return _mm512_set1_ps(x); }
  static Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  static Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
  static Floats to_floats(Ints x) { return _mm512_cvtepi32_ps(x); }
  static Floats load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Floats x) { _mm512_storeu_ps(p, x); }
  static Floats load_f16(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static __m128i sixteen(const std::byte* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  }
  static Floats load_i8(const std::byte* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(sixteen(p)));
  }
  static Floats load_low_nibbles(const std::byte* p) {
    return _mm512_cvtepi32_ps(
        _mm512_and_si512(_mm512_cvtepu8_epi32(sixteen(p)), _mm512_set1_epi32(15)));
  }
  static Floats load_high_nibbles(const std::byte* p) {
    return _mm512_cvtepi32_ps(_mm512_srli_epi32(_mm512_cvtepu8_epi32(sixteen(p)), 4));
  }
  static void prefetch(const std::byte* p) {
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
  }

  static Codes load(const std::byte* p) { return _mm512_loadu_si512(p); }
  static Codes shift_left(Codes x, int n) {
    return n == 0  ? x
           : n > 0 ? _mm512_slli_epi16(x, static_cast<unsigned>(n))
                   : _mm512_srli_epi16(x, static_cast<unsigned>(-n));
  }
  // The bits of mask, after a shift to the left; those bits put into `low`, which has zeros there.
  static Codes field(Codes x, int left, int mask) {
    return _mm512_and_si512(shift_left(x, left), _mm512_set1_epi8(static_cast<char>(mask)));
  }
  static Codes with_field(Codes low, Codes x, int left, int mask) {
    return _mm512_ternarylogic_epi32(shift_left(x, left), _mm512_set1_epi8(static_cast<char>(mask)),
                                     low, 0xEA);
  }
  static Codes eight_bits(Codes x) { return x; }
  static Codes code_book(Codes x) {
    const __m128i table = _mm_xor_si128(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(kIq4nl.data())), _mm_set1_epi8(-128));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), x);
  }

  // What the codes of column J of a quad stand for, before scale and minimum.
  template <typename K, int J>
  static Floats column(Codes quad) {
    Ints codes = _mm512_and_si512(_mm512_srli_epi32(quad, 8 * J), _mm512_set1_epi32(255));
    if constexpr (K::kMiddle != 0) codes = _mm512_sub_epi32(codes, _mm512_set1_epi32(K::kMiddle));
    return _mm512_cvtepi32_ps(codes);
  }

  static Ints broadcast_32(const void* p) {
    int32_t bits;
    __builtin_memcpy(&bits, p, 4);
    return _mm512_set1_epi32(bits);
  }
  // dots - middle * sum(xq) of row i, group g.
  template <typename K>
  static Ints without_middle(Ints dots, const RoundedRows& x, int i, int g) {
    if constexpr (K::kMiddle == 0) return dots;
    constexpr int kPair = -K::kMiddle & 0xFFFF;
    const int pair = K::kGroups == 1 ? kPair | kPair << 16 : g == 0 ? kPair : kPair << 16;
    return _mm512_dpwssd_epi32(dots, _mm512_set1_epi32(pair), broadcast_32(x.half_sums + i * 2));
  }

  // Calls use_group(g, 0) before the first use(g, 0, i, dots) of a group; dots: the integer sums of
  // activation row i in scale group g.
  template <typename Body, typename K, int M, int, typename UseGroup, typename Use>
  [[gnu::always_inline]] static inline void products(const std::byte* codes, const RoundedRows& x,
                                                     const UseGroup& use_group, const Use& use) {
    constexpr int kQuads = 8 / K::kGroups;
    Codes quads[8];
    unrolled<8>([&](auto q) __attribute__((always_inline)) {
      quads[q] = Body::template quad<K::kUnpacking>(codes, q);
    });
    unrolled<K::kGroups>([&](auto g) __attribute__((always_inline)) {
      use_group(g, 0);
      unrolled<M>([&](auto i) __attribute__((always_inline)) {
        Ints dots = without_middle<K>(_mm512_setzero_si512(), x, i, g);
        unrolled<kQuads>([&](auto step) __attribute__((always_inline)) {
          constexpr int kQuad = g * kQuads + step;
          dots = _mm512_dpbusd_epi32(dots, quads[kQuad],
                                     broadcast_32(x.codes + i * kBlockColumns + kQuad * 4));
        });
        use(g, 0, i, dots);
      });
    });
  }
};

}  // namespace shoehorn
