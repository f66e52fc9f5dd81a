// Small operations between layers: bound by launching, or by their reads and writes.
#include "ops/elementwise.h"

#include "ops/cuda/launch.cuh"

namespace shoehorn {
namespace {

constexpr int kThreads = 256;

// Grid of both: (row, 256 columns).
dim3 grid_of(const Tensor& out) {
  return dim3(static_cast<unsigned>(out.rows()),
              static_cast<unsigned>((out.columns() + kThreads - 1) / kThreads));
}

__global__ void add_kernel(float* x, int64_t x_stride, const float* y, int64_t y_stride,
                           int64_t columns) {
  wait_for_previous_kernel();
  let_next_kernel_start();
  const auto row = static_cast<int64_t>(blockIdx.x);
  const int64_t column = int64_t{blockIdx.y} * kThreads + threadIdx.x;
  if (column < columns) x[row * x_stride + column] += y[row * y_stride + column];
}

__global__ void gather_kernel(const float* x, int64_t x_stride, const int32_t* rows, float* out,
                              int64_t out_stride, int64_t columns) {
  wait_for_previous_kernel();
  let_next_kernel_start();
  const auto i = static_cast<int64_t>(blockIdx.x);
  const int64_t column = int64_t{blockIdx.y} * kThreads + threadIdx.x;
  if (column < columns) out[i * out_stride + column] = x[rows[i] * x_stride + column];
}

__global__ void next_tokens_kernel(AttentionSpan* spans, int32_t* positions, int64_t m) {
  wait_for_previous_kernel();
  const auto i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= m) return;
  spans[i].first_position += 1;
  positions[i] += 1;
}

}  // namespace

void add_rows(Gpu& gpu, const Tensor& x, const Tensor& y) {
  CHECK(x.rank == 2 && x.shape == y.shape, "x [{}, {}], y [{}, {}]", x.rows(), x.columns(),
        y.rows(), y.columns());
  if (x.rows() == 0) return;
  launch_overlapped(gpu, add_kernel, grid_of(x), dim3(kThreads), 0, x.row<float>(0), x.strides[0],
                    y.row<float>(0), y.strides[0], x.columns());
}

void next_tokens(Gpu& gpu, AttentionSpan* spans, int32_t* positions, int64_t m) {
  if (m == 0) return;
  const auto blocks = static_cast<unsigned>((m + kThreads - 1) / kThreads);
  launch_overlapped(gpu, next_tokens_kernel, dim3(blocks), dim3(kThreads), 0, spans, positions, m);
}

void gather_rows(Gpu& gpu, const Tensor& x, const int32_t* rows, const Tensor& out) {
  CHECK(x.rank == 2 && out.rank == 2 && x.columns() == out.columns(), "x [{}, {}], out [{}, {}]",
        x.rows(), x.columns(), out.rows(), out.columns());
  if (out.rows() == 0) return;
  launch_overlapped(gpu, gather_kernel, grid_of(out), dim3(kThreads), 0, x.row<float>(0),
                    x.strides[0], rows, out.row<float>(0), out.strides[0], out.columns());
}

}  // namespace shoehorn
