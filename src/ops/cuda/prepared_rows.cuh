// Rows rounded for linear layers, as kernels write them: by blocks of 32 columns to int8 (up to
// kRoundedRows rows), to bf16 (more than kFewRows). What makes rows may round them on its way out.
//
// Codes lie as the tensor cores' B fragments take them: [block of 32 columns][row][32 bytes], where
// quad q of a block (columns 4 q .. 4 q + 3) is at byte (q % 4) * 8 + q / 4 * 4. Scales and sums:
// [block][row, padded as padded_few_rows() says].
#pragma once

#include <cuda_bf16.h>

#include "ops/cuda/linear_parts.h"

namespace shoehorn {

// Where prepared rows go: codes, bf16, both or neither.
struct PreparedTarget {
  int8_t* codes = nullptr;
  float* scales = nullptr;
  float* block_sums = nullptr;
  float* half_sums = nullptr;
  __nv_bfloat16* bf16 = nullptr;
  int32_t m = 0, m_padded = 0, blocks = 0, columns = 0;
};

// x as prepared in `scratch`, and in `target` where a kernel is to write it.
GpuActivationRows view_prepared(const Tensor& x, std::span<std::byte> scratch, Precision precision,
                                PreparedTarget& target);

// Rounding as the CPU does it, operation by operation, so that codes and scales agree bit for bit.
struct BlockRounding {
  float scale, inverse;
  __device__ explicit BlockRounding(float largest) {
    scale = __fdiv_rn(largest, 127.0f);
    if (scale < 0x1p-126f) scale = 0.0f;  // else the inverse would pass the largest float
    inverse = scale > 0 ? __fdiv_rn(1.0f, scale) : 0.0f;
  }
  __device__ int code(float x) const { return __float2int_rn(__fmul_rn(x, inverse)); }
};

// Where the codes of columns [column, column + 4) of a row begin.
__device__ inline int8_t* codes_at(const PreparedTarget& target, int row, int column) {
  const int quad = column % 32 / 4;
  return target.codes + (static_cast<int64_t>(column / 32) * target.m + row) * 32 + quad % 4 * 8 +
         quad / 4 * 4;
}

// Scale and sums of a block of 32 codes, whose halves sum up to these.
__device__ inline void write_block(const PreparedTarget& target, int row, int block, float scale,
                                   int first_half, int second_half) {
  const int64_t at = static_cast<int64_t>(block) * target.m_padded + row;
  target.scales[at] = scale;
  target.block_sums[at] = scale * static_cast<float>(first_half + second_half);
  float* halves = target.half_sums + at + static_cast<int64_t>(block) * target.m_padded;
  halves[0] = scale * static_cast<float>(first_half);
  halves[target.m_padded] = scale * static_cast<float>(second_half);
}

}  // namespace shoehorn
