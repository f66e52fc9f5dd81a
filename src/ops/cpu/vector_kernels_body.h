// The elementwise kernels, for any class Simd of vector operations. Bound by memory from a few rows
// on, by the exponential where there is one.
//
// Included by files compiled for an instruction set: every function is a template over Simd, and
// nothing of the standard library that has a body is used.
#pragma once

#include <cstdint>

#include "ops/cpu/vector_kernels.h"

namespace shoehorn {

// exp(x), at most 2 ulp off; 0 from where the smallest denormal rounds to 0, infinity beyond
// 88.7228; NaN stays NaN. x = n ln 2 + r with |r| <= ln 2 / 2, exp(r) by the polynomial of Cephes'
// expf (Moshier 1989).
template <typename Simd>
typename Simd::Floats exponential(typename Simd::Floats x) {
  using Floats = typename Simd::Floats;
  // The second operand is what max and min return for a NaN.
  x = Simd::min(Simd::broadcast(89.0f), Simd::max(Simd::broadcast(-105.0f), x));
  const Floats n = Simd::round(Simd::multiply(x, Simd::broadcast(1.44269504088896341f)));
  // ln 2 in two parts, the first of so few bits that its product with n is exact.
  Floats r = Simd::multiply_add(n, Simd::broadcast(-0.693359375f), x);
  r = Simd::multiply_add(n, Simd::broadcast(2.12194440e-4f), r);
  Floats p = Simd::broadcast(1.9875691500e-4f);
  p = Simd::multiply_add(p, r, Simd::broadcast(1.3981999507e-3f));
  p = Simd::multiply_add(p, r, Simd::broadcast(8.3334519073e-3f));
  p = Simd::multiply_add(p, r, Simd::broadcast(4.1665795894e-2f));
  p = Simd::multiply_add(p, r, Simd::broadcast(1.6666665459e-1f));
  p = Simd::multiply_add(p, r, Simd::broadcast(5.0000001201e-1f));
  p = Simd::multiply_add(p, Simd::multiply(r, r), r);
  return Simd::scale_by_power(Simd::add(p, Simd::broadcast(1.0f)), n);
}

template <typename Simd>
void vector_rms_norm(const float* x, const float* weight, float epsilon, int64_t n, float* out) {
  using Floats = typename Simd::Floats;
  constexpr int64_t kLanes = Simd::kLanes;
  Floats squares[4] = {Simd::zero(), Simd::zero(), Simd::zero(), Simd::zero()};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    for (int j = 0; j < 4; ++j) {
      const Floats v = Simd::load(x + i + j * kLanes);
      squares[j] = Simd::multiply_add(v, v, squares[j]);
    }
  }
  for (; i + kLanes <= n; i += kLanes) {
    const Floats v = Simd::load(x + i);
    squares[0] = Simd::multiply_add(v, v, squares[0]);
  }
  if (i < n) {
    const Floats v = Simd::load(x + i, n - i);
    squares[1] = Simd::multiply_add(v, v, squares[1]);
  }
  const float sum =
      Simd::sum(Simd::add(Simd::add(squares[0], squares[1]), Simd::add(squares[2], squares[3])));
  const Floats factor =
      Simd::broadcast(1.0f / __builtin_sqrtf(sum / static_cast<float>(n) + epsilon));
  for (i = 0; i + kLanes <= n; i += kLanes) {
    const Floats normed = Simd::multiply(Simd::load(x + i), factor);
    Simd::store(out + i, Simd::multiply(normed, Simd::load(weight + i)));
  }
  if (i < n) {
    const Floats normed = Simd::multiply(Simd::load(x + i, n - i), factor);
    Simd::store(out + i, Simd::multiply(normed, Simd::load(weight + i, n - i)), n - i);
  }
}

template <typename Simd>
typename Simd::Floats silu(typename Simd::Floats z) {
  const typename Simd::Floats e = exponential<Simd>(Simd::subtract(Simd::zero(), z));
  return Simd::divide(z, Simd::add(Simd::broadcast(1.0f), e));
}

template <typename Simd>
void vector_swiglu(const float* gate, const float* up, int64_t n, float* out) {
  constexpr int64_t kLanes = Simd::kLanes;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const auto activated = silu<Simd>(Simd::load(gate + i));
    Simd::store(out + i, Simd::multiply(activated, Simd::load(up + i)));
  }
  if (i < n) {
    const auto activated = silu<Simd>(Simd::load(gate + i, n - i));
    Simd::store(out + i, Simd::multiply(activated, Simd::load(up + i, n - i)), n - i);
  }
}

// (a, b) -> (a cos - b sin, b cos + a sin).
template <typename Simd>
void vector_rotate_half(float* x, const float* cosines, const float* sines, int64_t pairs) {
  constexpr int64_t kLanes = Simd::kLanes;
  for (int64_t i = 0; i < pairs; i += kLanes) {
    const int64_t left = pairs - i;
    const bool whole = left >= kLanes;
    const auto load = [&](const float* p) { return whole ? Simd::load(p) : Simd::load(p, left); };
    const auto store = [&](float* p, typename Simd::Floats v) {
      whole ? Simd::store(p, v) : Simd::store(p, v, left);
    };
    const auto a = load(x + i), b = load(x + pairs + i);
    const auto c = load(cosines + i), s = load(sines + i);
    store(x + i, Simd::subtract(Simd::multiply(a, c), Simd::multiply(b, s)));
    store(x + pairs + i, Simd::add(Simd::multiply(b, c), Simd::multiply(a, s)));
  }
}

template <typename Simd>
void vector_rotate_interleaved(float* x, const float* cosines, const float* sines, int64_t pairs) {
  constexpr int64_t kPairs = Simd::kLanes / 2;
  int64_t i = 0;
  for (; i + kPairs <= pairs; i += kPairs) {
    const auto v = Simd::load(x + 2 * i);
    const auto turned = Simd::multiply(Simd::swap_pairs(v), Simd::load_twice(sines + i));
    const auto kept = Simd::multiply(v, Simd::load_twice(cosines + i));
    Simd::store(x + 2 * i, Simd::subtract_add(kept, turned));
  }
  for (; i < pairs; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    x[2 * i] = a * cosines[i] - b * sines[i];
    x[2 * i + 1] = b * cosines[i] + a * sines[i];
  }
}

template <typename Simd>
float vector_largest(const float* x, int64_t n) {
  constexpr int64_t kLanes = Simd::kLanes;
  const auto lowest = Simd::broadcast(-__builtin_inff());
  typename Simd::Floats best[4] = {lowest, lowest, lowest, lowest};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    for (int j = 0; j < 4; ++j) best[j] = Simd::max(best[j], Simd::load(x + i + j * kLanes));
  }
  for (; i + kLanes <= n; i += kLanes) best[0] = Simd::max(best[0], Simd::load(x + i));
  if (i < n) best[1] = Simd::max(best[1], Simd::keep(Simd::load(x + i, n - i), n - i, lowest));
  return Simd::largest(Simd::max(Simd::max(best[0], best[1]), Simd::max(best[2], best[3])));
}

// The sum is float over up to 1024 values, double over those.
template <typename Simd>
double vector_exponentials(const float* x, float shift, float factor, int64_t n, float* out) {
  using Floats = typename Simd::Floats;
  constexpr int64_t kLanes = Simd::kLanes;
  const Floats shifts = Simd::broadcast(shift), factors = Simd::broadcast(factor);
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += 1024) {
    const int64_t end = begin + 1024 < n ? begin + 1024 : n;
    Floats sum = Simd::zero();
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      const Floats shifted = Simd::subtract(Simd::load(x + i), shifts);
      const Floats e = exponential<Simd>(Simd::multiply(shifted, factors));
      Simd::store(out + i, e);
      sum = Simd::add(sum, e);
    }
    if (i < end) {
      const Floats shifted = Simd::subtract(Simd::load(x + i, end - i), shifts);
      const Floats e = exponential<Simd>(Simd::multiply(shifted, factors));
      Simd::store(out + i, e, end - i);
      sum = Simd::add(sum, Simd::keep(e, end - i, Simd::zero()));
    }
    total += static_cast<double>(Simd::sum(sum));
  }
  return total;
}

template <typename Simd>
void vector_scale(float* x, float factor, int64_t n) {
  constexpr int64_t kLanes = Simd::kLanes;
  const auto factors = Simd::broadcast(factor);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    Simd::store(x + i, Simd::multiply(Simd::load(x + i), factors));
  }
  if (i < n) Simd::store(x + i, Simd::multiply(Simd::load(x + i, n - i), factors), n - i);
}

// The last values go through a buffer, for want of masked 16-bit stores before AVX-512.
template <typename Simd, void (*kStore)(uint16_t*, typename Simd::Floats)>
void convert_to_16_bits(const float* x, int64_t n, uint16_t* out) {
  constexpr int64_t kLanes = Simd::kLanes;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) kStore(out + i, Simd::load(x + i));
  if (i == n) return;
  uint16_t last[kLanes];
  kStore(last, Simd::load(x + i, n - i));
  for (int64_t j = 0; i + j < n; ++j) out[i + j] = last[j];
}

template <typename Simd>
void vector_to_f16(const float* x, int64_t n, uint16_t* out) {
  convert_to_16_bits<Simd, Simd::store_f16>(x, n, out);
}

template <typename Simd>
void vector_to_bf16(const float* x, int64_t n, uint16_t* out) {
  convert_to_16_bits<Simd, Simd::store_bf16>(x, n, out);
}

}  // namespace shoehorn
