// The FMA probe of one instruction set: 12 independent chains, enough for 2 units of latency 4 to
// 5, few enough for 16 registers. Included by files compiled for that set.
#pragma once

#include <cstdint>

namespace shoehorn {

inline constexpr int kFmaChains = 12;

// Runs each chain `rounds` steps; returns a number that depends on all of them.
struct FmaProbe {
  int64_t lanes;
  float (*run)(int64_t rounds);
};
extern const FmaProbe kFmaAvx2;    // defined on x86 alone
extern const FmaProbe kFmaAvx512;  // defined on x86 alone

template <typename Simd>
float run_fma(int64_t rounds) {
  typename Simd::Floats sums[kFmaChains];
  for (int j = 0; j < kFmaChains; ++j) sums[j] = Simd::broadcast(static_cast<float>(j));
  const auto a = Simd::broadcast(0.999f), b = Simd::broadcast(0.001f);
  for (int64_t i = 0; i < rounds; ++i) {
    for (int j = 0; j < kFmaChains; ++j) sums[j] = Simd::multiply_add(sums[j], a, b);
  }
  auto total = sums[0];
  for (int j = 1; j < kFmaChains; ++j) total = Simd::add(total, sums[j]);
  return Simd::sum(total);
}

}  // namespace shoehorn
