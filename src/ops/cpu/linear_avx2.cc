// Linear kernels for AVX2: a 32-byte half of a code vector is 8 rows x 4 columns. VPMADDUBSW adds
// products in pairs into 16 bits, so sums of several quads stay in 16 bits as long as they cannot
// overflow, and widen once.
#include <immintrin.h>

#include "ops/cpu/linear_grouped_body.h"
#include "ops/cpu/linear_plain_body.h"
#include "ops/cpu/simd_avx2.h"

namespace shoehorn {
namespace {

struct Madd256 {
  using Floats = __m256;
  using Ints = __m256i;
  using Codes = __m256i;  // one quad of 8 rows, unsigned
  static constexpr int64_t kRows = 8;
  static constexpr int kActivationRows = 4;

  // Codes of 8 bits: their pair sums overflow int16, so nibbles are multiplied apart.
  template <Unpacking U>
  static constexpr bool kWide = U == Unpacking::u8 || U == Unpacking::iq4nl;
  // Quads whose pair sums fit into int16: u * 127 * 2 * quads <= 32767 (wide codes: u of a nibble).
  template <Unpacking U>
  static constexpr int kQuadsPerSum = U == Unpacking::u6   ? 2
                                      : U == Unpacking::u5 ? 4
                                                           : 8;

  static Floats zero() { return _mm256_setzero_ps(); }
  static Floats broadcast(float x) { return _mm256_set1_ps(x); }
  static Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
  static Floats to_floats(Ints x) { return _mm256_cvtepi32_ps(x); }
  static void store(float* p, Floats x) { _mm256_storeu_ps(p, x); }
  static Floats load_f16(const uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static __m128i eight(const std::byte* p) {
    return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  }
  static Floats load_i8(const std::byte* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight(p)));
  }
  static Floats load_low_nibbles(const std::byte* p) {
    return _mm256_cvtepi32_ps(
        _mm256_and_si256(_mm256_cvtepu8_epi32(eight(p)), _mm256_set1_epi32(15)));
  }
  static Floats load_high_nibbles(const std::byte* p) {
    return _mm256_cvtepi32_ps(_mm256_srli_epi32(_mm256_cvtepu8_epi32(eight(p)), 4));
  }
  static void prefetch(const std::byte* p) {
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
  }

  static Codes vector(const std::byte* p, int index) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + index * 64));
  }
  template <int Shift>
  static Codes part(Codes x, int mask) {
    return _mm256_and_si256(Shift == 0 ? x : _mm256_srli_epi16(x, Shift),
                            _mm256_set1_epi8(static_cast<char>(mask)));
  }
  template <int Up>
  static Codes raised(Codes x) {
    return Up == 0 ? x : _mm256_slli_epi16(x, Up);
  }
  static void nibbles(const std::byte* p, Codes (&out)[8]) {
    for (int v = 0; v < 4; ++v) {
      const Codes x = vector(p, v);
      out[v] = part<0>(x, 15);
      out[v + 4] = part<4>(x, 15);
    }
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
      const __m256i bit = _mm256_set1_epi8(static_cast<char>(1 << q));
      const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(x, bit), bit);
      out[q] = _mm256_or_si256(out[q], _mm256_and_si256(set, _mm256_set1_epi8(1 << Up)));
    }
  }

  template <Unpacking U>
  static void unpack(const std::byte* codes, int64_t first_row, Codes (&out)[8]) {
    const std::byte* p = codes + first_row * 4;
    if constexpr (U == Unpacking::u8) {
      for (int q = 0; q < 8; ++q) out[q] = vector(p, q);
    } else if constexpr (U == Unpacking::u4) {
      nibbles(p, out);
    } else if constexpr (U == Unpacking::iq4nl) {
      nibbles(p, out);
      // T + 128 is unsigned.
      const __m128i signed_table = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kIq4nl.data()));
      const __m256i table = _mm256_broadcastsi128_si256(
          _mm_xor_si128(signed_table, _mm_set1_epi8(static_cast<char>(0x80))));
      for (int q = 0; q < 8; ++q) out[q] = _mm256_shuffle_epi8(table, out[q]);
    } else if constexpr (U == Unpacking::u6) {
      Codes high[8];
      nibbles(p, out);
      crumbs<4>(p + 256, high);
      for (int q = 0; q < 8; ++q) out[q] = _mm256_or_si256(out[q], high[q]);
    } else if constexpr (U == Unpacking::u5) {
      nibbles(p, out);
      add_bits<4>(p + 256, out);
    } else {
      crumbs<0>(p, out);
      if constexpr (U == Unpacking::u3) add_bits<2>(p + 128, out);
    }
  }

  static __m256i pair_sums(Codes codes, const int8_t* x) {
    int32_t four;
    std::memcpy(&four, x, 4);
    return _mm256_maddubs_epi16(codes, _mm256_set1_epi32(four));
  }
  static Ints widen(__m256i pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }

  template <Unpacking U, int Quads>
  [[gnu::always_inline]] static inline Ints dot(const Codes* codes, const int8_t* x) {
    if constexpr (kWide<U>) return wide_dot<Quads>(codes, x);
    Ints sum = _mm256_setzero_si256();
    constexpr int kStep = kQuadsPerSum<U> < Quads ? kQuadsPerSum<U> : Quads;
    unrolled<Quads / kStep>([&](auto part) {
      constexpr int kFirst = part * kStep;
      __m256i pairs = pair_sums(codes[kFirst], x + kFirst * 4);
      unrolled<kStep - 1>([&](auto q) {
        constexpr int kQuad = kFirst + q + 1;
        pairs = _mm256_add_epi16(pairs, pair_sums(codes[kQuad], x + kQuad * 4));
      });
      sum = _mm256_add_epi32(sum, widen(pairs));
    });
    return sum;
  }

  template <int Quads>
  [[gnu::always_inline]] static inline Ints wide_dot(const Codes* codes, const int8_t* x) {
    __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();
    unrolled<Quads>([&](auto q) {
      low = _mm256_add_epi16(low, pair_sums(part<0>(codes[q], 15), x + q * 4));
      high = _mm256_add_epi16(high, pair_sums(part<4>(codes[q], 15), x + q * 4));
    });
    return _mm256_add_epi32(widen(low), _mm256_slli_epi32(widen(high), 4));
  }
};

// xq = round(x / sx) for a block of 32 columns at a time, through a buffer at the ragged end.
void round_row(const float* x, int64_t columns, const RoundedRow& out) {
  const int64_t blocks = (columns + kBlockColumns - 1) / kBlockColumns;
  for (int64_t block = 0; block < blocks; ++block) {
    const float* at = x + block * kBlockColumns;
    float padded[kBlockColumns] = {};
    if (columns - block * kBlockColumns < kBlockColumns) {
      std::memcpy(padded, at, static_cast<size_t>(columns - block * kBlockColumns) * 4);
      at = padded;
    }
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 values[4], largest = _mm256_setzero_ps();
    for (int i = 0; i < 4; ++i) {
      values[i] = _mm256_loadu_ps(at + i * 8);
      largest = _mm256_max_ps(largest, _mm256_andnot_ps(sign, values[i]));
    }
    const float scale = Avx2::largest(largest) / 127.0f;
    const __m256 inverse = _mm256_set1_ps(scale > 0 ? 1.0f / scale : 0.0f);
    __m256i q[4];
    for (int i = 0; i < 4; ++i) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(values[i], inverse));
    int32_t sums[2];
    for (int half = 0; half < 2; ++half) {
      alignas(32) int32_t lanes[8];
      _mm256_store_si256(reinterpret_cast<__m256i*>(lanes),
                         _mm256_add_epi32(q[half * 2], q[half * 2 + 1]));
      sums[half] = 0;
      for (const int32_t lane : lanes) sums[half] += lane;
      out.half_sums[block * 2 + half] = scale * static_cast<float>(sums[half]);
    }
    out.block_sums[block] = scale * static_cast<float>(sums[0] + sums[1]);
    out.scales[block] = scale;
    // Packing interleaves the 128-bit halves; the permutation puts the 4-byte pieces back in order.
    const __m256i packed =
        _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    _mm256_storeu_si256(
        reinterpret_cast<__m256i*>(out.codes + block * kBlockColumns),
        _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
  }
}

}  // namespace

const LinearKernels& linear_kernels_avx2() {
  static constexpr LinearKernels kKernels = {&GroupedBody<Madd256>::grouped,
                                             &PlainBody<Avx2>::plain, &round_row};
  return kKernels;
}

}  // namespace shoehorn
