// The inner kernels of linear layers: one table of functions per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/cpu.h"
#include "tensor/format.h"

namespace shoehorn {

// One tile (16 rows) of a grouped weight times `m` rounded activation rows; see linear.h for the
// sums.
struct GroupedArguments {
  const Format* format;
  const std::byte* tile;
  int64_t columns;  // a multiple of 32
  int64_t m;
  const int8_t* codes;      // [m, columns]
  const float* scales;      // [m, columns / 32]
  const float* group_sums;  // sx * sum(xq) of each group in a block: [m, columns / 32 * groups]
  float* sums;              // out: [m, 16]
};

// Up to 16 rows of a plain weight times m float rows. A product sum runs over the lanes of a vector
// (column c in lane c % lanes), then the lanes are added in a fixed tree; 16 lanes in the generic
// kernel.
struct PlainArguments {
  Storage storage;
  const std::byte* weight;  // [rows, columns]
  int64_t rows;             // 1 .. 16
  int64_t columns;
  int64_t m;
  const float* x;  // rows x_stride apart
  int64_t x_stride;
  float* sums;  // out: [m, 16]
};

// One activation row, rounded by blocks of 32 columns and padded with zeros to a multiple of 32.
struct RoundedRow {
  int8_t* codes;      // [columns]
  float* scales;      // sx: [columns / 32]
  float* block_sums;  // sx * sum(xq): [columns / 32]
  float* half_sums;   // the same of each 16 columns: [columns / 16]
};

// Groups that share one block of 32 columns: 2 where they have 16.
inline int64_t groups_in_block(const Format& format) {
  return format.group < kBlockColumns ? 2 : 1;
}

struct LinearKernels {
  void (*grouped)(const GroupedArguments&);
  void (*plain)(const PlainArguments&);
  void (*round_row)(const float* x, int64_t columns, const RoundedRow& out);
};

const LinearKernels& linear_kernels_generic();
const LinearKernels& linear_kernels_avx2();
const LinearKernels& linear_kernels_avx512();
const LinearKernels& linear_kernels_amx();

// The fastest table that runs on `isa`.
const LinearKernels& linear_kernels_for(Isa isa);

}  // namespace shoehorn
