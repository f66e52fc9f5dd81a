// Turning one number of a head, and storing it in the cache.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "ops/attention.h"

namespace shoehorn {

// Cosines and sines of the rows' pairs. Pair i is of the numbers i * step and i * step + distance.
struct RopeAngles {
  const float* cosines = nullptr;  // [rows, pairs]
  const float* sines = nullptr;
  int64_t cosine_stride = 0, sine_stride = 0;
  int pairs = 0;
  int step = 1, distance = 1;
};

RopeAngles rope_angles_of(const RopeAppendArguments& arguments);

// Both numbers of a pair; products and sums are rounded one by one, as on the CPU.
__device__ inline float2 turned_pair(float a, float b, float cosine, float sine) {
  return {__fsub_rn(__fmul_rn(a, cosine), __fmul_rn(b, sine)),
          __fadd_rn(__fmul_rn(b, cosine), __fmul_rn(a, sine))};
}

// Number i of the head x of a row, turned; those behind the pairs stay.
__device__ inline float turned(const RopeAngles& angles, int row, const float* x, int i) {
  if (i >= 2 * angles.pairs) return x[i];
  const bool halves = angles.step == 1;
  const bool second = halves ? i >= angles.pairs : i % 2 == 1;
  const int pair = halves ? (second ? i - angles.pairs : i) : i / 2;
  const int first = pair * angles.step;
  const float2 both = turned_pair(x[first], x[first + angles.distance],
                                  angles.cosines[row * angles.cosine_stride + pair],
                                  angles.sines[row * angles.sine_stride + pair]);
  return second ? both.y : both.x;
}

__device__ inline void store_rounded(float value, float* to) {
  *to = value;
}
__device__ inline void store_rounded(float value, __half* to) {
  *to = __float2half_rn(value);
}
__device__ inline void store_rounded(float value, __nv_bfloat16* to) {
  *to = __float2bfloat16_rn(value);
}

}  // namespace shoehorn
