// Linear kernels for AVX2: a 32-byte half of a code vector is 8 rows x 4 columns. VPMADDUBSW adds
// products in pairs into 16 bits, so sums of several quads stay in 16 bits as long as they cannot
// overflow, and widen once.
#include <immintrin.h>

#include "ops/cpu/linear_grouped_body.h"
#include "ops/cpu/linear_plain_body.h"
#include "ops/cpu/linear_rounding.h"
#include "ops/cpu/simd_avx2.h"

namespace shoehorn {
namespace {

struct Madd256 {
  using Floats = __m256;
  using Ints = __m256i;
  using Codes = __m256i;  // one quad of 8 rows; unsigned up to 6 bits, signed for u8 and iq4nl
  static constexpr int64_t kRows = 8;
  static constexpr int kSums = 4;

  template <Unpacking U>
  static constexpr bool kSigned = U == Unpacking::u8 || U == Unpacking::iq4nl;
  // Quads whose pair sums fit into int16: u * 127 * 2 * quads <= 32767.
  template <Unpacking U>
  static constexpr int kQuadsPerSum = kSigned<U>           ? 1
                                      : U == Unpacking::u6 ? 2
                                      : U == Unpacking::u5 ? 4
                                                           : 8;

  static Floats zero() { return _mm256_setzero_ps(); }
  static Floats broadcast(float x) { return _mm256_set1_ps(x); }
  static Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
  static Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
  static Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
  static Floats to_floats(Ints x) { return _mm256_cvtepi32_ps(x); }
  static Floats load(const float* p) { return _mm256_loadu_ps(p); }
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

  static Codes load(const std::byte* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static Codes shift_left(Codes x, int n) {
    return n == 0 ? x : n > 0 ? _mm256_slli_epi16(x, n) : _mm256_srli_epi16(x, -n);
  }
  // The bits of mask, after a shift to the left; those bits put into `low`, which has zeros there.
  static Codes field(Codes x, int left, int mask) {
    return _mm256_and_si256(shift_left(x, left), _mm256_set1_epi8(static_cast<char>(mask)));
  }
  static Codes with_field(Codes low, Codes x, int left, int mask) {
    return _mm256_or_si256(low, field(x, left, mask));
  }
  static Codes eight_bits(Codes x) { return _mm256_xor_si256(x, _mm256_set1_epi8(-128)); }
  static Codes code_book(Codes x) {
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128(
                                   reinterpret_cast<const __m128i*>(kIq4nl.data()))),
                               x);
  }

  // The code that means 0, as `quad` gives codes: from signed ones 128 is taken already.
  template <typename K>
  static constexpr int kMiddle = K::kMiddle - (kSigned<K::kUnpacking> ? 128 : 0);

  // What the codes of column J of a quad stand for, before scale and minimum.
  template <typename K, int J>
  static Floats column(Codes quad) {
    const Ints high = _mm256_slli_epi32(quad, 24 - 8 * J);
    Ints codes = kSigned<K::kUnpacking> ? _mm256_srai_epi32(high, 24) : _mm256_srli_epi32(high, 24);
    if constexpr (kMiddle<K> != 0) codes = _mm256_sub_epi32(codes, _mm256_set1_epi32(kMiddle<K>));
    return _mm256_cvtepi32_ps(codes);
  }

  static __m256i broadcast_32(const void* p) {
    int32_t bits;
    __builtin_memcpy(&bits, p, 4);
    return _mm256_set1_epi32(bits);
  }
  // dots - middle * sum(xq) of row i, group g.
  template <typename K>
  static Ints without_middle(Ints dots, const RoundedRows& x, int i, int g) {
    if constexpr (kMiddle<K> == 0) return dots;
    constexpr int kPair = -kMiddle<K> & 0xFFFF;
    const int pair = K::kGroups == 1 ? kPair | kPair << 16 : g == 0 ? kPair : kPair << 16;
    return _mm256_add_epi32(
        dots, _mm256_madd_epi16(broadcast_32(x.half_sums + i * 2), _mm256_set1_epi32(pair)));
  }

  // Products of code magnitudes and x, added in pairs. Signed codes: |u| * (sign(u) x), at most
  // 128 * 127 * 2 < 32768, and |-128| is 128 as an unsigned byte.
  template <Unpacking U>
  static __m256i pair_sums(Codes codes, Codes magnitudes, __m256i x) {
    if constexpr (kSigned<U>) return _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(x, codes));
    return _mm256_maddubs_epi16(codes, x);
  }

  // Calls use_group(g, p) before the first use(g, p, i, dots) of a group; dots: the integer sums of
  // rows p * 8 .. p * 8 + 7 and activation row i in scale group g. A quad at a time: 16 registers
  // hold no whole block.
  template <typename Body, typename K, int M, int Parts, typename UseGroup, typename Use>
  [[gnu::always_inline]] static inline void products(const std::byte* codes, const RoundedRows& x,
                                                     const UseGroup& use_group, const Use& use) {
    constexpr Unpacking kU = K::kUnpacking;
    constexpr int kQuads = 8 / K::kGroups;
    constexpr int kStep = kQuadsPerSum<kU> < kQuads ? kQuadsPerSum<kU> : kQuads;
    unrolled<K::kGroups>([&](auto g) __attribute__((always_inline)) {
      Ints dots[Parts][M];
      unrolled<kQuads / kStep>([&](auto part) __attribute__((always_inline)) {
        __m256i pairs[Parts][M];
        unrolled<kStep>([&](auto step) __attribute__((always_inline)) {
          constexpr int kQuad = g * kQuads + part * kStep + step;
          unrolled<Parts>([&](auto p) __attribute__((always_inline)) {
            const Codes quad = Body::template quad<kU>(codes + p * 32, kQuad);
            const Codes magnitudes = kSigned<kU> ? _mm256_abs_epi8(quad) : quad;
            unrolled<M>([&](auto i) __attribute__((always_inline)) {
              const __m256i four = broadcast_32(x.codes + i * kBlockColumns + kQuad * 4);
              const __m256i sums = pair_sums<kU>(quad, magnitudes, four);
              pairs[p][i] = step == 0 ? sums : _mm256_add_epi16(pairs[p][i], sums);
            });
          });
        });
        unrolled<Parts * M>([&](auto at) __attribute__((always_inline)) {
          const Ints sums = _mm256_madd_epi16(pairs[at / M][at % M], _mm256_set1_epi16(1));
          dots[at / M][at % M] = part == 0 ? sums : _mm256_add_epi32(dots[at / M][at % M], sums);
        });
      });
      unrolled<Parts>([&](auto p) __attribute__((always_inline)) {
        use_group(g, p);
        unrolled<M>([&](auto i) __attribute__((always_inline)) {
          use(g, p, i, without_middle<K>(dots[p][i], x, i, g));
        });
      });
    });
  }
};

// `columns` columns of x, at most 32, to index `at`.
void round_block(const float* x, int64_t columns, const RoundedRows& out, int64_t at) {
  int8_t* codes = out.codes + at * kBlockColumns;
  float padded[kBlockColumns] = {};
  if (columns < kBlockColumns) {
    __builtin_memcpy(padded, x, static_cast<size_t>(columns) * sizeof(float));
    x = padded;
  }
  const __m256 sign = _mm256_set1_ps(-0.0f);
  __m256 values[4], largest = _mm256_setzero_ps();
  for (int i = 0; i < 4; ++i) {
    values[i] = _mm256_loadu_ps(x + i * 8);
    largest = _mm256_max_ps(largest, _mm256_andnot_ps(sign, values[i]));
  }
  const RoundingScale scale = rounding_scale(Avx2::largest(largest));
  const __m256 inverse = _mm256_set1_ps(scale.inverse);
  __m256i q[4];
  for (int i = 0; i < 4; ++i) q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(values[i], inverse));
  const __m256i first = _mm256_add_epi32(q[0], q[1]), second = _mm256_add_epi32(q[2], q[3]);
  // Four sums of two numbers of each half, then two, then one.
  __m256i sums = _mm256_hadd_epi32(first, second);
  sums = _mm256_hadd_epi32(sums, sums);
  const __m128i both =
      _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  store_sums(out, at, scale.scale, _mm_cvtsi128_si32(both), _mm_extract_epi32(both, 1));
  // Packing interleaves the 128-bit halves; the permutation puts the 4-byte pieces back in order.
  const __m256i packed =
      _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
  _mm256_storeu_si256(
      reinterpret_cast<__m256i*>(codes),
      _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
}

void round_row(const RoundArguments& a) {
  for (int64_t block = a.first; block < a.end; ++block) {
    const int64_t column = block * kBlockColumns;
    round_block(a.x + column, a.columns - column, a.out, block * a.stride);
  }
}

}  // namespace

const LinearKernels& linear_kernels_avx2() {
  static constexpr LinearKernels kKernels = {&GroupedBody<Madd256>::grouped,
                                             &PlainBody<Avx2>::plain,
                                             &GroupedBody<Madd256>::precise, &round_row};
  return kKernels;
}

}  // namespace shoehorn
