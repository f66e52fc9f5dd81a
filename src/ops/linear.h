// Linear layers: y[m, rows] = x[m, columns] * W^T (+ bias), W a Weight of any format.
//
//   ActivationRows x = prepare_activations(pool, input, scratch);     // once for all layers that
//   read `input` linear(pool, x, {{.weight = &w.q, .output = q}, {.weight = &w.k, .output = k}});
//
// Grouped weights. Each row of x is rounded to int8 by blocks of 32 columns, xq = round(x / sx), sx
// = max|x| / 127 (float). With u the codes and c = minimum, or -offset * scale for symmetric
// formats (exact: offsets are powers of two):
//     y = sum over groups  (scale * sx) * sum(u * xq)  +  c * (sx * sum(xq)),
// the sums over a group's columns in a block exact in int32, everything else float: for each group
// in ascending order one fused multiply-add for each of the two terms into one accumulator. So y of
// a row depends neither on m nor on the thread count (decode, verification and prefill agree bit
// for bit), nor on the instruction set. Plain weights (f32, f16, bf16): products and sums in float,
// over as many lanes as the instruction set has.
//
// Precise mode (Precision::full) never rounds x: weights are dequantized, sums run in float. It is
// the specification, several times slower.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "base/cpu.h"
#include "base/thread_pool.h"
#include "ops/cost.h"
#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace shoehorn {

enum class Precision : uint8_t { fast, full };

// Input rows made ready: the floats, and their int8 rounding where one was asked for. A view into
// scratch.
struct ActivationRows {
  Tensor values;  // [m, columns] f32
  const int8_t* codes =
      nullptr;  // [m, columns_padded], columns_padded = columns up to a multiple of 32
  const float* scales = nullptr;       // sx: [m, columns_padded / 32]
  const float* block_sums = nullptr;  // sx * sum(xq) of each 32 columns: [m, columns_padded / 32]
  const float* half_sums = nullptr;   // the same of each 16 columns: [m, columns_padded / 16]
  bool rounded() const { return codes != nullptr; }
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

// Weight bytes once, input and output once; 2 * m * rows * columns flops.
Cost linear_cost(const Weight& weight, int64_t m);

// The instruction set in use; tests and benchmarks may force a lower one. REQUIRES: isa <=
// cpu_isa().
void set_linear_isa(Isa isa);
Isa linear_isa();

}  // namespace shoehorn
