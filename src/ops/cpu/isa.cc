#include "ops/isa.h"

#include <atomic>

#include "base/check.h"
#include "ops/cpu/vector_kernels.h"

namespace shoehorn {
namespace {

std::atomic<const VectorKernels*>& current() {
  static std::atomic<const VectorKernels*> kernels = &vector_kernels_for(cpu_isa());
  return kernels;
}

}  // namespace

const VectorKernels& vector_kernels() {
  return *current().load(std::memory_order_relaxed);
}

void set_ops_isa(Isa isa) {
  CHECK(isa <= cpu_isa(), "{} on a machine of {}", name(isa), name(cpu_isa()));
  current().store(&vector_kernels_for(isa), std::memory_order_relaxed);
}

Isa ops_isa() {
  return vector_kernels().isa;
}

}  // namespace shoehorn
