// y = x W^T for up to 64 rows of x and a plain W (f32, f16, bf16): small models, routers, heads
// that were left unquantized. Products and sums in float.
//
// Bound by HBM for few rows. A warp takes four weight rows and X <= 8 rows of x: a step is 256
// columns, eight to a lane (four 16-byte loads for 16-bit weights, eight for f32), each weight
// value meets eight x values from L1. A lane's columns are those with (c / 8) % 32 = lane, in
// ascending order, whatever m and however memory is aligned; then lanes are added pairwise.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "ops/cuda/launch.cuh"
#include "ops/cuda/linear_parts.h"

namespace shoehorn {
namespace {

constexpr int kWarps = 4;
constexpr int kLaneColumns = 8;

__device__ inline float to_float(float value) {
  return value;
}
__device__ inline float to_float(__half value) {
  return __half2float(value);
}
__device__ inline float to_float(__nv_bfloat16 value) {
  return __bfloat162float(value);
}

// Eight values from `at`; `left` of them are there (others are 0). wide: all are, 16-byte aligned.
template <typename T>
__device__ inline void load_eight(const T* at, int left, bool wide, float (&out)[kLaneColumns]) {
  if (wide) {
    constexpr int kVectors = static_cast<int>(sizeof(T)) / 2;
    uint4 loaded[kVectors];
#pragma unroll
    for (int i = 0; i < kVectors; ++i) loaded[i] = __ldg(reinterpret_cast<const uint4*>(at) + i);
    const T* values = reinterpret_cast<const T*>(loaded);
#pragma unroll
    for (int k = 0; k < kLaneColumns; ++k) out[k] = to_float(values[k]);
    return;
  }
#pragma unroll
  for (int k = 0; k < kLaneColumns; ++k) out[k] = k < left ? to_float(at[k]) : 0.0f;
}

// Where a warp works: rows [row, row + rows) of a part, rows [first_x, first_x + x_rows) of x.
struct Place {
  const LaunchTask* task;
  int part, row, rows, first_x, x_rows;
};

template <int X>
__device__ inline Place place_of(const Launch& launch, int item) {
  const int passes = (launch.m + X - 1) / X;
  int unit = item / passes;
  Place place;
  place.first_x = item % passes * X;
  place.x_rows = min(X, launch.m - place.first_x);
  int t = 0;
  while (t + 1 < launch.task_count && unit >= launch.tasks[t + 1].first_unit) ++t;
  place.task = &launch.tasks[t];
  unit -= place.task->first_unit;
  const int which = place.task->cut_by_columns ? 0 : unit / place.task->units_of_part;
  place.part = place.task->first_part + which;
  place.row = (unit - which * place.task->units_of_part) * kPlainRows;
  place.rows = min(kPlainRows, place.task->rows - place.row);
  return place;
}

template <int X>
using Sums = float[kPlainRows][X];

// sums += rows of one part times x, whose columns for this part begin at x.
template <typename T, int X>
__device__ inline void multiply_part(const T* weight, const Place& place, const PlainInput& x,
                                     const float* first, bool wide, Sums<X>& sums) {
  const int columns = place.task->columns, lane = static_cast<int>(threadIdx.x % 32);
#pragma unroll(X == 1 ? 2 : 1)
  for (int c = lane * kLaneColumns; c < columns; c += 32 * kLaneColumns) {
    float w[kPlainRows][kLaneColumns];
#pragma unroll
    for (int r = 0; r < kPlainRows; ++r) {
      const int64_t row = place.row + min(r, place.rows - 1);
      load_eight(weight + row * columns + c, columns - c, wide, w[r]);
    }
#pragma unroll
    for (int i = 0; i < X; ++i) {
      if (i >= place.x_rows) break;
      float v[kLaneColumns];
      load_eight(first + (place.first_x + i) * x.stride + c, columns - c, wide, v);
#pragma unroll
      for (int r = 0; r < kPlainRows; ++r) {
#pragma unroll
        for (int k = 0; k < kLaneColumns; ++k) sums[r][i] = __fmaf_rn(w[r][k], v[k], sums[r][i]);
      }
    }
  }
}

template <typename T, int X>
__global__ void __launch_bounds__(kWarps * 32)
    plain_kernel(const __grid_constant__ Launch launch, const PlainInput x, const bool wide) {
  wait_for_previous_kernel();
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int item = static_cast<int>(blockIdx.x * kWarps + threadIdx.x / 32);
  if (item >= launch.units * ((launch.m + X - 1) / X)) return;
  const Place place = place_of<X>(launch, item);
  const LaunchTask& task = *place.task;
  Sums<X> sums = {};
  for (int p = 0; p < (task.cut_by_columns ? task.parts : 1); ++p) {
    const int64_t column =
        task.cut_by_columns ? int64_t{launch.places[place.part + p]} * task.columns : 0;
    multiply_part<T, X>(reinterpret_cast<const T*>(launch.parts[place.part + p]), place, x,
                        x.values + column, wide, sums);
  }
#pragma unroll
  for (int r = 0; r < kPlainRows; ++r) {
#pragma unroll
    for (int i = 0; i < X; ++i) {
      float value = sums[r][i];
      for (int step = 16; step > 0; step /= 2) {
        value += __shfl_xor_sync(0xFFFFFFFFu, value, step);
      }
      if (lane != r * X + i || r >= place.rows || i >= place.x_rows) continue;
      const int64_t row = place.row + r;
      const int64_t column =
          task.cut_by_columns ? row : int64_t{launch.places[place.part]} * task.rows + row;
      if (task.bias) value += task.bias[column];
      float& y = task.output[(place.first_x + i) * task.output_stride + column];
      y = task.add ? y + value : value;
    }
  }
}

bool aligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % 16 == 0;
}

template <typename T, int X>
void launch_plain_of(Gpu& gpu, const Launch& launch, const PlainInput& x) {
  bool wide = aligned(x.values) && x.stride % 4 == 0;
  for (int t = 0; t < launch.task_count; ++t) {
    wide = wide && launch.tasks[t].columns % kLaneColumns == 0;
    for (int p = 0; p < launch.tasks[t].parts; ++p) {
      wide = wide && aligned(launch.parts[launch.tasks[t].first_part + p]);
    }
  }
  const int items = launch.units * ((launch.m + X - 1) / X);
  launch_overlapped(gpu, plain_kernel<T, X>,
                    dim3(static_cast<unsigned>((items + kWarps - 1) / kWarps)), dim3(kWarps * 32),
                    0, launch, x, wide);
}

template <typename T>
void launch_plain(Gpu& gpu, const Launch& launch, const PlainInput& x) {
  if (launch.m == 1) return launch_plain_of<T, 1>(gpu, launch, x);
  if (launch.m == 2) return launch_plain_of<T, 2>(gpu, launch, x);
  if (launch.m <= 4) return launch_plain_of<T, 4>(gpu, launch, x);
  launch_plain_of<T, 8>(gpu, launch, x);
}

}  // namespace

void plain_few_rows(Gpu& gpu, Storage storage, const Launch& launch, const PlainInput& x) {
  switch (storage) {
    case Storage::f32:
      return launch_plain<float>(gpu, launch, x);
    case Storage::f16:
      return launch_plain<__half>(gpu, launch, x);
    case Storage::bf16:
      return launch_plain<__nv_bfloat16>(gpu, launch, x);
    case Storage::grouped:
      break;
  }
  CHECK(false, "grouped weights have kernels of their own");
}

}  // namespace shoehorn
