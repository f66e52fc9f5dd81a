// SwiGLU (Shazeer 2020): out = silu(gate) * up, silu(z) = z / (1 + exp(-z)), elementwise.
#pragma once

#include "base/thread_pool.h"
#include "ops/cost.h"
#include "tensor/tensor.h"

namespace shoehorn {

// gate, up, out: [m, f] f32; out may be gate or up.
void swiglu(ThreadPool& pool, const Tensor& gate, const Tensor& up, const Tensor& out);
Cost swiglu_cost(int64_t m, int64_t f);

}  // namespace shoehorn
