// RMSNorm (Zhang and Sennrich 2019): out = x / sqrt(mean(x^2) + epsilon) * weight, row by row, in
// float.
#pragma once

#include "base/thread_pool.h"
#include "ops/cost.h"
#include "tensor/tensor.h"

namespace shoehorn {

// x, out: [m, h] f32, may be the same tensor; weight: [h].
void rms_norm(ThreadPool& pool, const Tensor& x, const float* weight, float epsilon,
              const Tensor& out);
Cost rms_norm_cost(int64_t m, int64_t h);

}  // namespace shoehorn
