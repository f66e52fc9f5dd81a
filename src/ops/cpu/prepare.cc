#include "ops/prepare.h"

#include "ops/rms_norm.h"
#include "ops/swiglu.h"

namespace shoehorn {

ActivationRows norm_and_prepare(ThreadPool& pool, const Tensor& x, const NormArguments& norm,
                                const Tensor& normed, std::span<std::byte> scratch,
                                Precision precision) {
  rms_norm(pool, x, norm.weight, norm.epsilon, normed);
  return prepare_activations(pool, normed, scratch, precision);
}

ActivationRows swiglu_and_prepare(ThreadPool& pool, const Tensor& gate, const Tensor& up,
                                  const Tensor& out, std::span<std::byte> scratch,
                                  Precision precision) {
  swiglu(pool, gate, up, out);
  return prepare_activations(pool, out, scratch, precision);
}

}  // namespace shoehorn
