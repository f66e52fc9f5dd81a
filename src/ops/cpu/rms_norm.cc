#include "ops/rms_norm.h"

#include "ops/cpu/share.h"
#include "ops/cpu/vector_kernels.h"

namespace shoehorn {

void rms_norm(ThreadPool& pool, const Tensor& x, const float* weight, float epsilon,
              const Tensor& out) {
  const int64_t m = x.rows(), h = x.columns();
  CHECK(out.rows() == m && out.columns() == h, "x [{}, {}], out [{}, {}]", m, h, out.rows(),
        out.columns());
  const VectorKernels& kernels = vector_kernels();
  share_work(pool, m, h, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      kernels.rms_norm(x.row<float>(i), weight, epsilon, h, out.row<float>(i));
    }
  });
}

Cost rms_norm_cost(int64_t m, int64_t h) {
  const double numbers = static_cast<double>(m) * static_cast<double>(h);
  return {.bytes = 8 * numbers + 4 * static_cast<double>(h), .flops = 4 * numbers};
}

}  // namespace shoehorn
