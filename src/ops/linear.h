// Linear layers: y[m, rows] = x[m, columns] * W^T (+ bias), W a Weight of any format.
//
//   const ActivationRows x = prepare_activations(pool, input, scratch, Precision::fast);  // once
//   linear(pool, x, {{.weight = &w.q, .output = q}, {.weight = &w.k, .output = k}});
//
// Grouped weights. Each row of x is rounded to int8 by blocks of 32 columns, xq = round(x / sx), sx
// = max|x| / 127 (float), and multiplied in integers; one float step a block and scale group:
//     y = sum over groups  (scale * sx) * sum((u - offset) * xq)  +  minimum * (sx * sum(xq))
// with offset 0 in a format with minimum, no minimum in one without. The integer sums are exact on
// every instruction set; the float sum runs over groups in ascending order in one accumulator a row
// and output, by fused multiply-adds. So y of a row depends neither on m, nor on the thread count,
// nor on the instruction set: decode, verification and prefill agree bit for bit.
//
// Plain weights (f32, f16, bf16): products and sums in float, 16 partial sums by column modulo 16
// in ascending order (8 on AVX2), then one fixed tree; independent of m and the thread count too.
//
// Precise mode (Precision::full) never rounds x: grouped weights are dequantized to float, four
// partial sums by column modulo 4 (the same bits on every instruction set), plain weights as above.
// It is the specification; it reads memory as the fast mode does, but computes several times more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "base/cpu.h"
#include "base/thread_pool.h"
#include "ops/cost.h"
#include "ops/gpu.h"
#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace shoehorn {

enum class Precision : uint8_t { fast, full };

inline constexpr int64_t kPanelRows = 16;

// Rows rounded to int8, in panels of 16 (the last one shorter), so that kernels read one stream:
// the block of 32 columns number b of row r lies at index 16 * (r / 16) * blocks + b * (rows of the
// panel) + r % 16 of each array. A view into scratch.
struct RoundedRows {
  int8_t* codes = nullptr;         // xq: 32 a block
  float* scales = nullptr;         // sx = max|x| / 127; 0 if that is below 2^-126
  int16_t* half_sums = nullptr;    // sum(xq) of the first and of the second 16 columns
  float* products = nullptr;       // sx * sum(xq)
  float* half_products = nullptr;  // sx * sum(xq) of the first and of the second 16 columns

  // From the block `index` blocks further on.
  RoundedRows at(int64_t index) const {
    return {codes + index * kBlockColumns, scales + index, half_sums + index * 2, products + index,
            half_products + index * 2};
  }
};

// Input rows made ready: the floats, and their int8 rounding where one was asked for.
struct ActivationRows {
  Tensor values;  // [m, columns] f32
  RoundedRows rounded_rows;
  bool rounded() const { return rounded_rows.codes != nullptr; }
};

// Scratch for prepare_activations at up to `rows` rows of `columns` columns; 64-byte alignment.
int64_t activation_scratch_bytes(int64_t rows, int64_t columns);

// x: [m, columns] f32, finite. Rounds to int8 too when precision is fast. The result views x and
// scratch.
ActivationRows prepare_activations(ThreadPool& pool, const Tensor& x, std::span<std::byte> scratch,
                                   Precision precision);

enum class OutputMode : uint8_t { store, add };  // y = ..., or y += ... (the residual stream)

struct LinearTask {
  const Weight* weight = nullptr;  // [rows, columns]
  const float* bias = nullptr;     // [rows], or null
  Tensor output;                   // [m, rows] f32; must not overlap the input
  OutputMode mode = OutputMode::store;
};

// All tasks in one parallel region; their weights share x and its column count.
void linear(ThreadPool& pool, const ActivationRows& x, std::span<const LinearTask> tasks);

inline void linear(ThreadPool& pool, const ActivationRows& x,
                   std::initializer_list<LinearTask> tasks) {
  linear(pool, x, std::span<const LinearTask>(tasks.begin(), tasks.size()));
}

// The same with weights cut by rows: part p gives outputs [p * rows, (p + 1) * rows). Outputs of
// parts left out keep what they hold.
struct RowPartsTask {
  SplitWeight weight;
  Tensor output;  // [m, parts * rows] f32
};
void linear_row_parts(ThreadPool& pool, const ActivationRows& x,
                      std::span<const RowPartsTask> tasks);

// With a weight cut by columns: output = (or +=) the sum, in ascending order, over the parts p that
// are there of x[:, p * columns .. (p + 1) * columns) * W_p^T. Where there are several parts, their
// columns are a multiple of 32. x: [m, parts * columns], output: [m, rows].
void linear_column_parts(ThreadPool& pool, const ActivationRows& x, const SplitWeight& weight,
                         const Tensor& output, OutputMode mode);

// On a card. Up to kFewRows rows multiply rounded rows, as above, and read each weight byte once;
// the float sums run in another order than on the CPU, one that depends on the weight's shape
// alone: rows are the same bits for every m up to kFewRows (128 where groups are 32 or larger),
// wherever the parts lie. More rows multiply in bf16 on tensor cores (weights dequantized in
// Gpu::scratch, sums in float); their bits depend on m. Precise mode never rounds x.
//
// Kernels fetch weights before the kernels queued ahead of them have ended. So weights come from
// copies, or from kernels behind which the stream has waited for an event since.
inline constexpr int64_t kFewRows = 64;
inline constexpr int64_t kMaxParts = 128;

// Rounded rows on the card hold the numbers of ActivationRows in the order in which tensor cores
// take them: with b a block of 32 columns, and M the first of 8, 16, 32, 64, 96, 128 to hold m,
struct GpuActivationRows {
  Tensor values;  // [m, columns] f32
  Precision precision = Precision::fast;
  // At most 128 rows: [b][m][32], column 16 h + 4 t + i of the block at byte 8 t + 4 h + i.
  const int8_t* codes = nullptr;
  const float* scales = nullptr;      // [b][M]
  const float* block_sums = nullptr;  // [b][M]
  const float* half_sums = nullptr;   // [b][2][M]
  const void* bf16 = nullptr;         // [m, columns], more than kFewRows
};

// 256-byte alignment.
int64_t gpu_activation_scratch_bytes(int64_t rows, int64_t columns);
// Gpu::scratch that products of more than kFewRows rows, or in precise mode, need for one weight
// (the part of a cut one) of so many values; more makes them no faster.
int64_t gpu_linear_scratch_bytes(int64_t rows, int64_t columns);

GpuActivationRows prepare_activations(Gpu& gpu, const Tensor& x, std::span<std::byte> scratch,
                                      Precision precision);
void linear(Gpu& gpu, const GpuActivationRows& x, std::span<const LinearTask> tasks);
void linear_row_parts(Gpu& gpu, const GpuActivationRows& x, std::span<const RowPartsTask> tasks);
void linear_column_parts(Gpu& gpu, const GpuActivationRows& x, const SplitWeight& weight,
                         const Tensor& output, OutputMode mode);

inline void linear(Gpu& gpu, const GpuActivationRows& x, std::initializer_list<LinearTask> tasks) {
  linear(gpu, x, std::span<const LinearTask>(tasks.begin(), tasks.size()));
}

// Weight bytes once, input and output once; 2 * m * rows * columns flops.
Cost linear_cost(const Weight& weight, int64_t m);

// The instruction set in use; tests and benchmarks may force a lower one. REQUIRES: isa <=
// cpu_isa().
void set_linear_isa(Isa isa);
Isa linear_isa();

}  // namespace shoehorn
