// What comes before a linear layer, together with the rounding of its input: one pass over the row
// where a body can do it in one.
#pragma once

#include <cstddef>
#include <span>

#include "ops/linear.h"

namespace shoehorn {

struct NormArguments {
  const float* weight = nullptr;  // [h]
  float epsilon = 1e-6f;
};

// normed = RMSNorm(x) (ops/rms_norm.h), made ready for linear layers. x, normed: [m, h] f32.
ActivationRows norm_and_prepare(ThreadPool& pool, const Tensor& x, const NormArguments& norm,
                                const Tensor& normed, std::span<std::byte> scratch,
                                Precision precision);
GpuActivationRows norm_and_prepare(Gpu& gpu, const Tensor& x, const NormArguments& norm,
                                   const Tensor& normed, std::span<std::byte> scratch,
                                   Precision precision);

// out = silu(gate) * up (ops/swiglu.h), made ready. gate, up, out: [m, f] f32; out may be gate.
ActivationRows swiglu_and_prepare(ThreadPool& pool, const Tensor& gate, const Tensor& up,
                                  const Tensor& out, std::span<std::byte> scratch,
                                  Precision precision);
GpuActivationRows swiglu_and_prepare(Gpu& gpu, const Tensor& gate, const Tensor& up,
                                     const Tensor& out, std::span<std::byte> scratch,
                                     Precision precision);

}  // namespace shoehorn
