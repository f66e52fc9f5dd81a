// Rows made ready for linear layers: rounded to int8 by blocks of 32 columns (up to kRoundedRows),
// to bf16 (more than kFewRows), alone or in one pass with what makes them (RMSNorm, SwiGLU).
//
// Bound by latency for few rows, by HBM for many. A thread has four neighbouring columns, so eight
// neighbouring lanes have a block of 32: its maximum and sums are a few shuffles. Every kernel
// keeps whole warps together for those; columns past the end count as zeros. The next kernel may
// start at once: a linear layer's then fetches weights while these run.
#include "ops/prepare.h"

#include "ops/cuda/launch.cuh"
#include "ops/cuda/prepared_rows.cuh"

namespace shoehorn {
namespace {

constexpr int kThreads = 512;

int64_t blocks_of(int64_t columns) {
  return (columns + kBlockColumns - 1) / kBlockColumns;
}

struct Rows {
  float* data;
  int64_t stride;
  bool wide;  // all rows on 16 bytes, columns a multiple of 4
};

Rows rows_of(const Tensor& x) {
  float* data = x.row<float>(0);
  return {
      data, x.strides[0],
      reinterpret_cast<uintptr_t>(data) % 16 == 0 && x.strides[0] % 4 == 0 && x.columns() % 4 == 0};
}

__device__ inline float4 load_quad(const Rows& rows, int row, int column, int columns) {
  if (column >= columns) return {};
  const float* at = rows.data + row * rows.stride + column;
  if (rows.wide) return *reinterpret_cast<const float4*>(at);
  const int left = columns - column;
  return {at[0], left > 1 ? at[1] : 0.0f, left > 2 ? at[2] : 0.0f, left > 3 ? at[3] : 0.0f};
}

__device__ inline void store_quad(const Rows& rows, int row, int column, int columns, float4 v) {
  if (column >= columns) return;
  float* at = rows.data + row * rows.stride + column;
  if (rows.wide) {
    *reinterpret_cast<float4*>(at) = v;
    return;
  }
  const int left = columns - column;
  at[0] = v.x;
  if (left > 1) at[1] = v.y;
  if (left > 2) at[2] = v.z;
  if (left > 3) at[3] = v.w;
}

__device__ inline void write_bf16(const PreparedTarget& target, int row, int column, float4 v) {
  if (column >= target.columns) return;
  __nv_bfloat16* at = target.bf16 + static_cast<int64_t>(row) * target.columns + column;
  const int left = target.columns - column;
  if (target.columns % 4 == 0) {
    const __nv_bfloat162 pairs[2] = {__floats2bfloat162_rn(v.x, v.y),
                                     __floats2bfloat162_rn(v.z, v.w)};
    *reinterpret_cast<uint2*>(at) = *reinterpret_cast<const uint2*>(pairs);
    return;
  }
  at[0] = __float2bfloat16_rn(v.x);
  if (left > 1) at[1] = __float2bfloat16_rn(v.y);
  if (left > 2) at[2] = __float2bfloat16_rn(v.z);
  if (left > 3) at[3] = __float2bfloat16_rn(v.w);
}

// Called by whole warps: v holds columns [column, column + 4) of a row.
__device__ inline void write_prepared(const PreparedTarget& target, int row, int column, float4 v) {
  if (target.bf16) write_bf16(target, row, column, v);
  if (!target.codes) return;
  constexpr unsigned kAll = 0xFFFFFFFFu;
  float largest = fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w)));
  for (int step = 4; step > 0; step /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(kAll, largest, step));
  }
  const BlockRounding rounding(largest);
  const int code[4] = {rounding.code(v.x), rounding.code(v.y), rounding.code(v.z),
                       rounding.code(v.w)};
  int half_sum = code[0] + code[1] + code[2] + code[3];
  half_sum += __shfl_xor_sync(kAll, half_sum, 1);
  half_sum += __shfl_xor_sync(kAll, half_sum, 2);
  const int other_half = __shfl_xor_sync(kAll, half_sum, 4);
  const int block = column / 32;
  if (block >= target.blocks) return;
  *reinterpret_cast<uint32_t*>(codes_at(target, row, column)) =
      (static_cast<uint32_t>(code[0]) & 255) | (static_cast<uint32_t>(code[1]) & 255) << 8 |
      (static_cast<uint32_t>(code[2]) & 255) << 16 | static_cast<uint32_t>(code[3]) << 24;
  if (column % 32 == 0) {
    write_block(target, row, block, rounding.scale, half_sum, other_half);
  }
}

// Grid: rows x spans of 4 * kThreads columns.
__global__ void __launch_bounds__(kThreads)
    round_kernel(const Rows x, const PreparedTarget target) {
  let_next_kernel_start();
  wait_for_previous_kernel();
  const int row = static_cast<int>(blockIdx.x);
  const int column = static_cast<int>(blockIdx.y * kThreads + threadIdx.x) * 4;
  write_prepared(target, row, column, load_quad(x, row, column, target.columns));
}

__device__ inline float silu(float z) {
  return z / (1.0f + expf(-z));
}

// Grid as above. Every value is read before it is written, by the same thread: out may be gate.
__global__ void __launch_bounds__(kThreads)
    swiglu_kernel(const Rows gate, const Rows up, const Rows out, const PreparedTarget target) {
  let_next_kernel_start();
  wait_for_previous_kernel();
  const int row = static_cast<int>(blockIdx.x);
  const int column = static_cast<int>(blockIdx.y * kThreads + threadIdx.x) * 4;
  const float4 g = load_quad(gate, row, column, target.columns);
  const float4 u = load_quad(up, row, column, target.columns);
  const float4 v = {silu(g.x) * u.x, silu(g.y) * u.y, silu(g.z) * u.z, silu(g.w) * u.w};
  store_quad(out, row, column, target.columns, v);
  write_prepared(target, row, column, v);
}

// The sum over a block's threads, the same bits for every thread.
__device__ inline float block_sum(float value) {
  __shared__ float of_warp[kThreads / 32];
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xFFFFFFFFu, value, step);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0;
  for (const float part : of_warp) sum += part;
  return sum;
}

// Columns [column, column + 4) of the block's row, normed and made ready. Called by whole warps.
__device__ inline void write_normed(const Rows& normed, const PreparedTarget& target, int column,
                                    float4 v, float4 weight, float factor) {
  const int row = static_cast<int>(blockIdx.x);
  v = {v.x * factor * weight.x, v.y * factor * weight.y, v.z * factor * weight.z,
       v.w * factor * weight.w};
  store_quad(normed, row, column, target.columns, v);
  write_prepared(target, row, column, v);
}

constexpr int kHeld = 4;                    // quads a thread keeps between the passes,
constexpr int kPassColumns = kThreads * 4;  // this far apart

// A block has a row: a pass for the sum of squares, a pass for the rest. A row of up to 8192
// columns is held in registers; weights, nobody's output, are fetched before x is there.
__global__ void __launch_bounds__(kThreads)
    norm_kernel(const Rows x, const Rows weights, float epsilon, const Rows normed,
                const PreparedTarget target) {
  const int row = static_cast<int>(blockIdx.x), columns = target.columns;
  const int first = static_cast<int>(threadIdx.x) * 4;
  float4 weight[kHeld], held[kHeld];
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    weight[i] = load_quad(weights, 0, first + i * kPassColumns, columns);
  }
  let_next_kernel_start();
  wait_for_previous_kernel();
  float squares = 0;
  const auto add = [&](float4 v) { squares += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w; };
#pragma unroll
  for (int i = 0; i < kHeld; ++i) held[i] = load_quad(x, row, first + i * kPassColumns, columns);
#pragma unroll
  for (int i = 0; i < kHeld; ++i) add(held[i]);
  for (int c = first + kHeld * kPassColumns; c < columns; c += kPassColumns) {
    add(load_quad(x, row, c, columns));
  }
  const float mean = block_sum(squares) / static_cast<float>(columns);
  const float factor = 1.0f / sqrtf(mean + epsilon);
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    if (i * kPassColumns >= columns) break;
    write_normed(normed, target, first + i * kPassColumns, held[i], weight[i], factor);
  }
  for (int c = kHeld * kPassColumns; c < columns; c += kPassColumns) {
    const int column = c + first;
    write_normed(normed, target, column, load_quad(x, row, column, columns),
                 load_quad(weights, 0, column, columns), factor);
  }
}

dim3 span_grid(int64_t m, int64_t columns) {
  const int64_t threads = blocks_of(columns) * 8;
  return dim3(static_cast<unsigned>(m), static_cast<unsigned>((threads + kThreads - 1) / kThreads));
}

}  // namespace

GpuActivationRows view_prepared(const Tensor& x, std::span<std::byte> scratch, Precision precision,
                                PreparedTarget& target) {
  CHECK(x.rank == 2 && x.rows() > 0, "rank {}, {} rows", x.rank, x.rows());
  const int64_t m = x.rows(), columns = x.columns();
  GpuActivationRows rows{.values = x, .precision = precision};
  target.m = static_cast<int32_t>(m);
  target.m_padded = static_cast<int32_t>(padded_few_rows(m));
  target.blocks = static_cast<int32_t>(blocks_of(columns));
  target.columns = static_cast<int32_t>(columns);
  if (precision == Precision::full) return rows;
  const PreparedLayout layout(m, columns);
  CHECK(static_cast<int64_t>(scratch.size()) >= layout.bytes, "scratch of {} bytes, {} needed",
        scratch.size(), layout.bytes);
  CHECK(reinterpret_cast<uintptr_t>(scratch.data()) % 256 == 0, "scratch is not aligned");
  if (m > kFewRows) {
    rows.bf16 = target.bf16 = reinterpret_cast<__nv_bfloat16*>(scratch.data() + layout.bf16);
  }
  if (m > kRoundedRows) return rows;
  rows.codes = target.codes = reinterpret_cast<int8_t*>(scratch.data());
  rows.scales = target.scales = reinterpret_cast<float*>(scratch.data() + layout.scales);
  rows.block_sums = target.block_sums =
      reinterpret_cast<float*>(scratch.data() + layout.block_sums);
  rows.half_sums = target.half_sums = reinterpret_cast<float*>(scratch.data() + layout.half_sums);
  return rows;
}

GpuActivationRows prepare_activations(Gpu& gpu, const Tensor& x, std::span<std::byte> scratch,
                                      Precision precision) {
  PreparedTarget target;
  const GpuActivationRows rows = view_prepared(x, scratch, precision, target);
  if (precision == Precision::full) return rows;
  launch_overlapped(gpu, round_kernel, span_grid(x.rows(), x.columns()), dim3(kThreads), 0,
                    rows_of(x), target);
  return rows;
}

GpuActivationRows norm_and_prepare(Gpu& gpu, const Tensor& x, const NormArguments& norm,
                                   const Tensor& normed, std::span<std::byte> scratch,
                                   Precision precision) {
  CHECK(normed.rows() == x.rows() && normed.columns() == x.columns(), "x [{}, {}], normed [{}, {}]",
        x.rows(), x.columns(), normed.rows(), normed.columns());
  PreparedTarget target;
  const GpuActivationRows rows = view_prepared(normed, scratch, precision, target);
  float* const weight = const_cast<float*>(norm.weight);
  launch_overlapped(gpu, norm_kernel, dim3(static_cast<unsigned>(x.rows())), dim3(kThreads), 0,
                    rows_of(x), rows_of(Tensor::matrix(weight, 1, x.columns())), norm.epsilon,
                    rows_of(normed), target);
  return rows;
}

GpuActivationRows swiglu_and_prepare(Gpu& gpu, const Tensor& gate, const Tensor& up,
                                     const Tensor& out, std::span<std::byte> scratch,
                                     Precision precision) {
  CHECK(gate.rows() == up.rows() && gate.columns() == up.columns() && out.rows() == up.rows() &&
            out.columns() == up.columns(),
        "gate [{}, {}], up [{}, {}], out [{}, {}]", gate.rows(), gate.columns(), up.rows(),
        up.columns(), out.rows(), out.columns());
  PreparedTarget target;
  const GpuActivationRows rows = view_prepared(out, scratch, precision, target);
  launch_overlapped(gpu, swiglu_kernel, span_grid(gate.rows(), gate.columns()), dim3(kThreads), 0,
                    rows_of(gate), rows_of(up), rows_of(out), target);
  return rows;
}

}  // namespace shoehorn
