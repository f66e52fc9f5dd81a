// Attention for caches of floats and heads of unusual size: a plain kernel in float, for models
// that exist to test others and for exactness. Grid: (row, query head, piece of the context); a
// warp takes every fourth token, a lane every 32nd number of its key and value. Each query head
// reads the cache for itself, which makes it several times slower than the tensor path.
#include "ops/cuda/attention_pieces.cuh"
#include "ops/cuda/launch.cuh"

namespace shoehorn::attention_device {
namespace {

constexpr int kNumbers = kMaxHeadDim / 32;  // of a lane

template <typename T>
__device__ void load_numbers(const T* from, int dim, float (&to)[kNumbers]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int j = 0; j < kNumbers; ++j) {
    to[j] = lane + 32 * j < dim ? to_float(from[lane + 32 * j]) : 0.0f;
  }
}

struct Running {
  float maximum = kMinusInfinity;
  float sum = 0;
  float out[kNumbers] = {};
};

template <typename T>
__device__ void walk(const FewRows& work, const PieceOfRows& piece, Running& running) {
  const KvLayer& layer = work.step.layer;
  const auto dim = static_cast<int>(layer.head_dim);
  const int head = static_cast<int>(blockIdx.y), kv_head = head / work.step.group;
  const int64_t keys = plane_offset(layer, kv_head, sizeof(T));
  const int64_t values = plane_offset(layer, static_cast<int>(layer.kv_heads) + kv_head, sizeof(T));
  float q[kNumbers], kv[kNumbers];
  load_numbers(
      work.step.q + piece.first_row * work.step.q_row_stride + head * work.step.q_head_stride, dim,
      q);
  for (int token = piece.first_token + static_cast<int>(threadIdx.x) / 32; token < piece.token_end;
       token += kWarps) {
    const std::byte* at = layer.data + token_offset(layer, piece.pages, token, sizeof(T));
    load_numbers(reinterpret_cast<const T*>(at + keys), dim, kv);
    float product = 0;
#pragma unroll
    for (int j = 0; j < kNumbers; ++j) product = fmaf(q[j], kv[j], product);
    const float score = warp_sum(product) * work.step.log2_scale;
    const float maximum = fmaxf(running.maximum, score);
    const float shrink = relative_weight(running.maximum, maximum);
    const float probability = relative_weight(score, maximum);
    running.maximum = maximum;
    running.sum = fmaf(running.sum, shrink, probability);
    load_numbers(reinterpret_cast<const T*>(at + values), dim, kv);
#pragma unroll
    for (int j = 0; j < kNumbers; ++j) {
      running.out[j] = fmaf(probability, kv[j], running.out[j] * shrink);
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads) any_shape_kernel(const FewRows work) {
  __shared__ float parts[kWarps][kMaxHeadDim];
  __shared__ float maxima[kWarps], sums[kWarps];
  wait_for_previous_kernel();
  let_next_kernel_start();
  const PieceOfRows piece = find_piece(work);
  if (piece.row_count == 0) return;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const auto head = static_cast<int>(blockIdx.y);
  Running running;
  walk<T>(work, piece, running);
#pragma unroll
  for (int j = 0; j < kNumbers; ++j) parts[warp][lane + 32 * j] = running.out[j];
  if (lane == 0) {
    maxima[warp] = running.maximum;
    sums[warp] = running.sum;
  }
  __syncthreads();
  float maximum = maxima[0], sum = 0;
  for (int w = 1; w < kWarps; ++w) maximum = fmaxf(maximum, maxima[w]);
  float weights[kWarps];
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    weights[w] = relative_weight(maxima[w], maximum);
    sum = fmaf(weights[w], sums[w], sum);
  }
  const bool only_piece = piece.position < kPieceTokens;
  const Destination to = destination(work, piece.first_row, head, only_piece, sum);
  for (int i = threadIdx.x; i < static_cast<int>(work.step.layer.head_dim); i += kThreads) {
    float total = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) total = fmaf(weights[w], parts[w][i], total);
    to.values[i] = total * to.factor;
  }
  if (threadIdx.x == 0 && !only_piece) {
    work.maxima_and_sums[slot_of(work, piece.first_row, head, blockIdx.z)] = {maximum, sum};
  }
}

}  // namespace

void launch_any_shape(Gpu& gpu, const FewRows& work) {
  const dim3 grid(work.row_end - work.first_row, work.step.heads, work.pieces);
  const auto launch = [&](auto kernel) {
    launch_overlapped(gpu, kernel, grid, dim3(kThreads), 0, work);
  };
  switch (work.step.layer.dtype) {
    case DType::f16:
      return launch(any_shape_kernel<__half>);
    case DType::bf16:
      return launch(any_shape_kernel<__nv_bfloat16>);
    default:
      return launch(any_shape_kernel<float>);
  }
}

}  // namespace shoehorn::attention_device
