// Rotary embedding on a card. Both kernels are bound by launching and by their reads and writes; a
// warp has a head, a lane every 32nd pair, so that each access is of neighbouring numbers.
#include "ops/rope.h"

#include "ops/attention.h"
#include "ops/cuda/launch.cuh"
#include "ops/cuda/rope_turn.cuh"

namespace shoehorn {
namespace {

constexpr int kThreads = 256;
constexpr int kHeadsPerBlock = kThreads / 32;

// Doubles, as on the CPU: a float angle at position 10^6 would be off by a thirtieth of a radian.
__global__ void angles_kernel(const int32_t* positions, const double* frequencies, double magnitude,
                              Tensor cosines, Tensor sines) {
  wait_for_previous_kernel();
  let_next_kernel_start();
  const auto row = static_cast<int64_t>(blockIdx.x);
  const int64_t pair = int64_t{blockIdx.y} * blockDim.x + threadIdx.x;
  if (pair >= cosines.shape[1]) return;
  double sine, cosine;
  sincos(positions[row] * frequencies[pair], &sine, &cosine);
  static_cast<float*>(cosines.data)[row * cosines.strides[0] + pair] =
      static_cast<float>(cosine * magnitude);
  static_cast<float*>(sines.data)[row * sines.strides[0] + pair] =
      static_cast<float>(sine * magnitude);
}

// [m, heads, d] as a kernel sees it.
struct Heads {
  float* data;
  int64_t row_stride, head_stride;
  int count;
};
struct RopeAppend {
  KvLayer layer;
  Heads q, k, v;
  RopeAngles angles;
  const AttentionSpan* spans;
  const int32_t* row_spans;
};

// Where the row's key of head `plane` goes, its value for kv_heads + head.
template <typename T>
__device__ T* cache_slot(const RopeAppend& work, int row, int plane) {
  const KvLayer& layer = work.layer;
  const AttentionSpan& span = work.spans[work.row_spans[row]];
  const auto token = static_cast<unsigned>(span.first_position + row - span.first_row);
  const auto page_tokens = static_cast<unsigned>(layer.page_tokens);
  std::byte* page = layer.data + span.pages[token / page_tokens] * layer.page_stride_bytes;
  return reinterpret_cast<T*>(page) +
         (plane * layer.page_tokens + token % page_tokens) * layer.head_dim;
}

template <typename T>
__device__ void turn(const RopeAngles& angles, int row, float* x, T* slot) {
  const float* cosines = angles.cosines + row * angles.cosine_stride;
  const float* sines = angles.sines + row * angles.sine_stride;
  for (int i = threadIdx.x % 32; i < angles.pairs; i += 32) {
    const int first = i * angles.step, second = first + angles.distance;
    const float2 both = turned_pair(x[first], x[second], cosines[i], sines[i]);
    x[first] = both.x;
    x[second] = both.y;
    if (slot == nullptr) continue;
    store_rounded(both.x, slot + first);
    store_rounded(both.y, slot + second);
  }
}

template <typename T>
__device__ void copy(const float* x, T* slot, int begin, int end) {
  for (int i = begin + static_cast<int>(threadIdx.x % 32); i < end; i += 32)
    store_rounded(x[i], slot + i);
}

// Grid: (row, eight of the heads of q, k and v).
template <typename T>
__global__ void __launch_bounds__(kThreads) rope_append_kernel(const RopeAppend work) {
  wait_for_previous_kernel();
  let_next_kernel_start();
  const auto row = static_cast<int>(blockIdx.x);
  int head = static_cast<int>(blockIdx.y) * kHeadsPerBlock + static_cast<int>(threadIdx.x) / 32;
  const auto dim = static_cast<int>(work.layer.head_dim);
  const auto at = [&](const Heads& heads) {
    return heads.data + row * heads.row_stride + head * heads.head_stride;
  };
  if (head < work.q.count) return turn<T>(work.angles, row, at(work.q), nullptr);
  head -= work.q.count;
  if (head >= work.k.count + work.v.count) return;
  T* slot = cache_slot<T>(work, row, head);
  if (head < work.k.count) {
    turn<T>(work.angles, row, at(work.k), slot);
    return copy(at(work.k), slot, 2 * work.angles.pairs, dim);
  }
  head -= work.k.count;
  copy(at(work.v), slot, 0, dim);
}

Heads heads_of(const Tensor& tensor, const KvLayer& layer) {
  CHECK(tensor.rank == 3 && tensor.columns() == layer.head_dim && tensor.strides[2] == 1,
        "[{}, {}, {}] for heads of {}", tensor.rows(), tensor.shape[1], tensor.columns(),
        layer.head_dim);
  return {tensor.row<float>(0), tensor.strides[0], tensor.strides[1],
          static_cast<int>(tensor.shape[1])};
}

}  // namespace

RopeAngles rope_angles_of(const RopeAppendArguments& arguments) {
  const Tensor &cosines = arguments.cosines, &sines = arguments.sines;
  const auto pairs = static_cast<int>(cosines.columns());
  const bool half = arguments.pairing == RopePairing::half;
  return {.cosines = cosines.row<float>(0),
          .sines = sines.row<float>(0),
          .cosine_stride = cosines.strides[0],
          .sine_stride = sines.strides[0],
          .pairs = pairs,
          .step = half ? 1 : 2,
          .distance = half ? pairs : 1};
}

void rope_angles(Gpu& gpu, const int32_t* positions, const double* frequencies, double magnitude,
                 const Tensor& cosines, const Tensor& sines) {
  CHECK(cosines.shape == sines.shape && cosines.rank == 2, "cosines [{}, {}], sines [{}, {}]",
        cosines.rows(), cosines.columns(), sines.rows(), sines.columns());
  if (cosines.rows() == 0 || cosines.columns() == 0) return;
  constexpr int kAngleThreads = 64;  // 64 or 32 pairs are usual
  const dim3 grid(static_cast<unsigned>(cosines.rows()),
                  static_cast<unsigned>((cosines.columns() + kAngleThreads - 1) / kAngleThreads));
  launch_overlapped(gpu, angles_kernel, grid, dim3(kAngleThreads), 0, positions, frequencies,
                    magnitude, cosines, sines);
}

void rope_and_append(Gpu& gpu, const KvLayer& layer, const RopeAppendArguments& arguments,
                     const GpuSpans& spans) {
  const Tensor &cosines = arguments.cosines, &sines = arguments.sines;
  const int64_t pairs = cosines.columns();
  CHECK(2 * pairs <= layer.head_dim && sines.columns() == pairs && cosines.rows() >= spans.rows &&
            sines.rows() >= spans.rows && arguments.q.rows() >= spans.rows &&
            arguments.k.rows() >= spans.rows && arguments.v.rows() >= spans.rows,
        "{} rows, q of {}, angles [{}, {}]", spans.rows, arguments.q.rows(), cosines.rows(), pairs);
  if (spans.rows == 0) return;
  const RopeAppend work = {.layer = layer,
                           .q = heads_of(arguments.q, layer),
                           .k = heads_of(arguments.k, layer),
                           .v = heads_of(arguments.v, layer),
                           .angles = rope_angles_of(arguments),
                           .spans = spans.spans,
                           .row_spans = spans.row_spans};
  CHECK(work.k.count == layer.kv_heads && work.v.count == layer.kv_heads,
        "k of {} heads, v of {}, cache of {}", work.k.count, work.v.count, layer.kv_heads);
  const int heads = work.q.count + work.k.count + work.v.count;
  const dim3 grid(static_cast<unsigned>(spans.rows),
                  static_cast<unsigned>((heads + kHeadsPerBlock - 1) / kHeadsPerBlock));
  const auto launch = [&](auto kernel) {
    launch_overlapped(gpu, kernel, grid, dim3(kThreads), 0, work);
  };
  switch (layer.dtype) {
    case DType::f32:
      return launch(rope_append_kernel<float>);
    case DType::f16:
      return launch(rope_append_kernel<__half>);
    case DType::bf16:
      return launch(rope_append_kernel<__nv_bfloat16>);
    default:
      CHECK(false, "a cache of {}", name(layer.dtype));
  }
}

}  // namespace shoehorn
