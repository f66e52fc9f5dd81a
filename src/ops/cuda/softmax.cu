// Argmax on a card: one block a row. A row of 100,000 logits is 400 KB, some microseconds for one
// multiprocessor, once a token.
#include "ops/softmax.h"

#include <climits>

#include "base/cuda_check.h"

namespace shoehorn {
namespace {

constexpr int kThreads = 1024;

struct Best {
  float value = -__builtin_inff();
  int index = INT_MAX;
};

__device__ Best better(Best a, Best b) {
  const bool take_b = b.value > a.value || (b.value == a.value && b.index < a.index);
  return take_b ? b : a;
}

__device__ Best warp_best(Best best) {
  for (int distance = 16; distance > 0; distance /= 2) {
    best = better(best, {__shfl_xor_sync(0xFFFFFFFFu, best.value, distance),
                         __shfl_xor_sync(0xFFFFFFFFu, best.index, distance)});
  }
  return best;
}

__global__ void __launch_bounds__(kThreads)
    argmax_kernel(const float* logits, int64_t row_stride, int count, int32_t* out) {
  __shared__ Best bests[kThreads / 32];
  const float* row = logits + blockIdx.x * row_stride;
  Best best;
#pragma unroll 8
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
    best = better(best, {row[i], i});
  }
  best = warp_best(best);
  if (threadIdx.x % 32 == 0) bests[threadIdx.x / 32] = best;
  __syncthreads();
  if (threadIdx.x >= 32) return;
  best = warp_best(bests[threadIdx.x]);
  // Nothing but NaNs compares with nothing: 0, as on the CPU.
  if (threadIdx.x == 0) out[blockIdx.x] = best.index == INT_MAX ? 0 : best.index;
}

}  // namespace

void argmax(Gpu& gpu, const Tensor& logits, int32_t* out) {
  CHECK(logits.rank == 2 && logits.columns() > 0 && logits.columns() < INT_MAX - kThreads,
        "argmax of [{}, {}]", logits.rows(), logits.columns());
  if (logits.rows() == 0) return;
  argmax_kernel<<<static_cast<unsigned>(logits.rows()), kThreads, 0, gpu.stream()>>>(
      logits.row<float>(0), logits.strides[0], static_cast<int>(logits.columns()), out);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace shoehorn
