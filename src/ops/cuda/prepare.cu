// Rows made ready for linear layers: rounded to int8 by blocks of 32 columns (up to kFewRows rows),
// or to bf16 (more), by themselves or in one pass with what makes them (RMSNorm, SwiGLU).
//
// Bound by latency for few rows, by HBM for many. A thread has four neighbouring columns, so eight
// neighbouring lanes have a block of 32: its maximum and sums are a few shuffles. Every kernel
// keeps whole warps together for those; columns past the end count as zeros.
//
// Codes lie as the tensor cores' B fragments take them: [block of 32 columns][row][32 bytes], where
// quad q of a block (columns 4 q .. 4 q + 3) is at byte (q % 4) * 8 + q / 4 * 4. Scales and sums:
// [block][row, padded as padded_few_rows() says].
#include "ops/prepare.h"

#include <cuda_bf16.h>

#include "ops/cuda/launch.cuh"
#include "ops/cuda/linear_parts.h"

namespace shoehorn {
namespace {

constexpr int kThreads = 512;

int64_t blocks_of(int64_t columns) {
  return (columns + kBlockColumns - 1) / kBlockColumns;
}

// Where prepared rows go; codes or bf16 or neither.
struct Target {
  int8_t* codes = nullptr;
  float* scales = nullptr;
  float* block_sums = nullptr;
  float* half_sums = nullptr;
  __nv_bfloat16* bf16 = nullptr;
  int32_t m = 0, m_padded = 0, blocks = 0, columns = 0;
};

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

__device__ inline void write_bf16(const Target& target, int row, int column, float4 v) {
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

// Called by whole warps: v holds columns [column, column + 4) of a row. The rounding is that of the
// CPU, operation by operation, so that codes and scales agree bit for bit.
__device__ inline void write_prepared(const Target& target, int row, int column, float4 v) {
  if (target.bf16) write_bf16(target, row, column, v);
  if (!target.codes) return;
  constexpr unsigned kAll = 0xFFFFFFFFu;
  float largest = fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w)));
  for (int step = 4; step > 0; step /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(kAll, largest, step));
  }
  const float scale = __fdiv_rn(largest, 127.0f);
  const float inverse = scale > 0 ? __fdiv_rn(1.0f, scale) : 0.0f;
  const int code[4] = {
      __float2int_rn(__fmul_rn(v.x, inverse)), __float2int_rn(__fmul_rn(v.y, inverse)),
      __float2int_rn(__fmul_rn(v.z, inverse)), __float2int_rn(__fmul_rn(v.w, inverse))};
  int half_sum = code[0] + code[1] + code[2] + code[3];
  half_sum += __shfl_xor_sync(kAll, half_sum, 1);
  half_sum += __shfl_xor_sync(kAll, half_sum, 2);
  const int other_half = __shfl_xor_sync(kAll, half_sum, 4);
  const int block = column / 32, quad = column % 32 / 4;
  if (block >= target.blocks) return;
  const uint32_t packed =
      (static_cast<uint32_t>(code[0]) & 255) | (static_cast<uint32_t>(code[1]) & 255) << 8 |
      (static_cast<uint32_t>(code[2]) & 255) << 16 | static_cast<uint32_t>(code[3]) << 24;
  int8_t* codes = target.codes + (static_cast<int64_t>(block) * target.m + row) * 32;
  *reinterpret_cast<uint32_t*>(codes + quad % 4 * 8 + quad / 4 * 4) = packed;
  const int64_t at = static_cast<int64_t>(block) * target.m_padded + row;
  if (quad == 0) {
    target.scales[at] = scale;
    target.block_sums[at] = scale * static_cast<float>(half_sum + other_half);
  }
  if (quad % 4 == 0) {
    target.half_sums[at + (static_cast<int64_t>(block) + quad / 4) * target.m_padded] =
        scale * static_cast<float>(half_sum);
  }
}

// Grid: rows x spans of 4 * kThreads columns.
__global__ void __launch_bounds__(kThreads) round_kernel(const Rows x, const Target target) {
  wait_for_previous_kernel();
  let_next_kernel_start();
  const int row = static_cast<int>(blockIdx.x);
  const int column = static_cast<int>(blockIdx.y * kThreads + threadIdx.x) * 4;
  write_prepared(target, row, column, load_quad(x, row, column, target.columns));
}

__device__ inline float silu(float z) {
  return z / (1.0f + expf(-z));
}

// Grid as above. Every value is read before it is written, by the same thread: out may be gate.
__global__ void __launch_bounds__(kThreads)
    swiglu_kernel(const Rows gate, const Rows up, const Rows out, const Target target) {
  wait_for_previous_kernel();
  let_next_kernel_start();
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
__device__ inline void write_normed(const Rows& normed, const Target& target, int column, float4 v,
                                    float4 weight, float factor) {
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
                const Target target) {
  const int row = static_cast<int>(blockIdx.x), columns = target.columns;
  const int first = static_cast<int>(threadIdx.x) * 4;
  float4 weight[kHeld], held[kHeld];
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    weight[i] = load_quad(weights, 0, first + i * kPassColumns, columns);
  }
  wait_for_previous_kernel();
  let_next_kernel_start();
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

GpuActivationRows view_scratch(const Tensor& x, std::span<std::byte> scratch, Precision precision,
                               Target& target) {
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
    rows.bf16 = target.bf16 = reinterpret_cast<__nv_bfloat16*>(scratch.data());
    return rows;
  }
  rows.codes = target.codes = reinterpret_cast<int8_t*>(scratch.data());
  rows.scales = target.scales = reinterpret_cast<float*>(scratch.data() + layout.scales);
  rows.block_sums = target.block_sums =
      reinterpret_cast<float*>(scratch.data() + layout.block_sums);
  rows.half_sums = target.half_sums = reinterpret_cast<float*>(scratch.data() + layout.half_sums);
  return rows;
}

}  // namespace

GpuActivationRows prepare_activations(Gpu& gpu, const Tensor& x, std::span<std::byte> scratch,
                                      Precision precision) {
  Target target;
  const GpuActivationRows rows = view_scratch(x, scratch, precision, target);
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
  Target target;
  const GpuActivationRows rows = view_scratch(normed, scratch, precision, target);
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
  Target target;
  const GpuActivationRows rows = view_scratch(out, scratch, precision, target);
  launch_overlapped(gpu, swiglu_kernel, span_grid(gate.rows(), gate.columns()), dim3(kThreads), 0,
                    rows_of(gate), rows_of(up), rows_of(out), target);
  return rows;
}

}  // namespace shoehorn
