#include "ops/rope.h"

#include <cmath>

#include "ops/cpu/share.h"
#include "ops/cpu/vector_kernels.h"

namespace shoehorn {
namespace {

constexpr int64_t kAngleNumbers =
    64;  // a sine and cosine in double cost as much as so many numbers

}  // namespace

void rope_angles(ThreadPool& pool, std::span<const int32_t> positions, const RopeTable& table,
                 const Tensor& cosines, const Tensor& sines) {
  const auto m = static_cast<int64_t>(positions.size());
  const auto pairs = static_cast<int64_t>(table.frequencies.size());
  for (const Tensor& tensor : {cosines, sines}) {
    CHECK(tensor.rows() == m && tensor.columns() == pairs, "angles [{}, {}], table [{}, {}]", m,
          pairs, tensor.rows(), tensor.columns());
  }
  share_work(pool, m, pairs * kAngleNumbers, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double position = positions[static_cast<size_t>(i)];
      float* cosine = cosines.row<float>(i);
      float* sine = sines.row<float>(i);
      for (int64_t j = 0; j < pairs; ++j) {
        const double angle = position * table.frequencies[static_cast<size_t>(j)];
        cosine[j] = static_cast<float>(std::cos(angle) * table.magnitude);
        sine[j] = static_cast<float>(std::sin(angle) * table.magnitude);
      }
    }
  });
}

void rope(ThreadPool& pool, const Tensor& x, const Tensor& cosines, const Tensor& sines,
          RopePairing pairing) {
  const int64_t m = x.rows(), heads = x.shape[1], head_dim = x.columns();
  const int64_t pairs = cosines.columns();
  CHECK(x.rank == 3 && 2 * pairs <= head_dim && cosines.rows() >= m && sines.rows() >= m,
        "x [{}, {}, {}], angles [{}, {}]", m, heads, head_dim, cosines.rows(), pairs);
  const VectorKernels& kernels = vector_kernels();
  const auto rotate =
      pairing == RopePairing::half ? kernels.rotate_half : kernels.rotate_interleaved;
  share_work(pool, m, heads * head_dim, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* row = x.row<float>(i);
      for (int64_t head = 0; head < heads; ++head) {
        rotate(row + head * x.strides[1], cosines.row<float>(i), sines.row<float>(i), pairs);
      }
    }
  });
}

Cost rope_cost(int64_t m, int64_t heads, int64_t head_dim) {
  const double numbers =
      static_cast<double>(m) * static_cast<double>(heads) * static_cast<double>(head_dim);
  return {.bytes = 8 * numbers, .flops = 3 * numbers};
}

}  // namespace shoehorn
