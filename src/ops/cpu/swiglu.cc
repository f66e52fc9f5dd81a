#include "ops/swiglu.h"

#include <algorithm>

#include "ops/cpu/share.h"
#include "ops/cpu/vector_kernels.h"

namespace shoehorn {
namespace {

constexpr int64_t kColumns = 1024;  // of a row at a time, so that one long row feeds all threads

}  // namespace

void swiglu(ThreadPool& pool, const Tensor& gate, const Tensor& up, const Tensor& out) {
  const int64_t m = gate.rows(), f = gate.columns();
  CHECK(up.rows() == m && up.columns() == f, "gate [{}, {}], up [{}, {}]", m, f, up.rows(),
        up.columns());
  CHECK(out.rows() == m && out.columns() == f, "gate [{}, {}], out [{}, {}]", m, f, out.rows(),
        out.columns());
  const VectorKernels& kernels = vector_kernels();
  const int64_t blocks = (f + kColumns - 1) / kColumns;
  share_work(pool, m * blocks, kColumns, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t i = item / blocks, first = item % blocks * kColumns;
      kernels.swiglu(gate.row<float>(i) + first, up.row<float>(i) + first,
                     std::min(kColumns, f - first), out.row<float>(i) + first);
    }
  });
}

Cost swiglu_cost(int64_t m, int64_t f) {
  const double numbers = static_cast<double>(m) * static_cast<double>(f);
  return {.bytes = 12 * numbers, .flops = 5 * numbers};  // exp counts one
}

}  // namespace shoehorn
