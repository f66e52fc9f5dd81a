// The operations of grouped kernels on AVX-512 with VNNI: a 64-byte code vector is 16 rows x 4
// columns, the operand of VPDPBUSD. Included only by files compiled for it.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "ops/cpu/linear_grouped_body.h"

namespace shoehorn {

struct Vnni512 {
  using Floats = __m512;
  using Ints = __m512i;
  using Codes = __m512i;  // one quad of 16 rows, unsigned
  static constexpr int64_t kRows = 16;
  static constexpr int kActivationRows = 8;

  static Floats zero() { return _mm512_setzero_ps(); }
  static Floats broadcast(float x) { return _mm512_set1_ps(x); }
  static Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
  static Floats to_floats(Ints x) { return _mm512_cvtepi32_ps(x); }
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

  static Codes vector(const std::byte* p, int index) { return _mm512_loadu_si512(p + index * 64); }
  template <int Shift>
  static Codes part(Codes x, int mask) {
    return _mm512_and_si512(Shift == 0 ? x : _mm512_srli_epi16(x, Shift),
                            _mm512_set1_epi8(static_cast<char>(mask)));
  }
  // Plane of 4, 2, 1 bits: quad q lies in vector q % bits at bit bits * (q / bits).
  static void nibbles(const std::byte* p, Codes (&out)[8]) {
    for (int v = 0; v < 4; ++v) {
      const Codes x = vector(p, v);
      out[v] = part<0>(x, 15);
      out[v + 4] = part<4>(x, 15);
    }
  }
  template <int Up>
  static Codes raised(Codes x) {
    return Up == 0 ? x : _mm512_slli_epi16(x, Up);
  }
  template <int Up>
  static void crumbs(const std::byte* p, Codes (&out)[8]) {
    for (int w = 0; w < 2; ++w) {
      const Codes x = vector(p, w);
      out[w] = raised<Up>(part<0>(x, 3));
      out[w + 2] = raised<Up>(part<2>(x, 3));
      out[w + 4] = raised<Up>(part<4>(x, 3));
      out[w + 6] = raised<Up>(part<6>(x, 3));
    }
  }
  template <int Up>
  static void add_bits(const std::byte* p, Codes (&out)[8]) {
    const Codes x = vector(p, 0);
    for (int q = 0; q < 8; ++q) {
      const __mmask64 set = _mm512_test_epi8_mask(x, _mm512_set1_epi8(static_cast<char>(1 << q)));
      out[q] = _mm512_mask_add_epi8(out[q], set, out[q], _mm512_set1_epi8(1 << Up));
    }
  }

  template <Unpacking U>
  static void unpack(const std::byte* p, int64_t, Codes (&out)[8]) {
    if constexpr (U == Unpacking::u8) {
      for (int q = 0; q < 8; ++q) out[q] = vector(p, q);
    } else if constexpr (U == Unpacking::u4) {
      nibbles(p, out);
    } else if constexpr (U == Unpacking::iq4nl) {
      nibbles(p, out);
      // T + 128 is unsigned, as VPDPBUSD wants it.
      const __m128i signed_table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kIq4nl.data()));
      const __m512i table = _mm512_broadcast_i32x4(
          _mm_xor_si128(signed_table, _mm_set1_epi8(static_cast<char>(0x80))));
      for (int q = 0; q < 8; ++q) out[q] = _mm512_shuffle_epi8(table, out[q]);
    } else if constexpr (U == Unpacking::u6) {
      nibbles(p, out);
      Codes high[8];
      crumbs<4>(p + 256, high);
      for (int q = 0; q < 8; ++q) out[q] = _mm512_or_si512(out[q], high[q]);
    } else if constexpr (U == Unpacking::u5) {
      nibbles(p, out);
      add_bits<4>(p + 256, out);
    } else if constexpr (U == Unpacking::u2) {
      crumbs<0>(p, out);
    } else {
      crumbs<0>(p, out);
      add_bits<2>(p + 128, out);
    }
  }

  template <Unpacking U, int Quads>
  [[gnu::always_inline]] static inline Ints dot(const Codes* codes, const int8_t* x) {
    Ints sum = _mm512_setzero_si512();
    unrolled<Quads>([&](auto q) {
      int32_t four;
      std::memcpy(&four, x + q * 4, 4);
      sum = _mm512_dpbusd_epi32(sum, codes[q], _mm512_set1_epi32(four));
    });
    return sum;
  }
};

}  // namespace shoehorn
