// The inner kernels of linear layers: one table of functions per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/cpu.h"
#include "ops/linear.h"
#include "tensor/format.h"

namespace shoehorn {

// Blocks of columns of `tiles` tiles (16 rows each) of a grouped weight times blocks [first_block,
// first_block + blocks) of `m` rounded activation rows, from the beginning of a panel on; see
// linear.h for the sums and the order of rows.
struct GroupedArguments {
  const Format* format;
  const std::byte* weight;  // of the first tile, from a scale header on
  int64_t tiles;
  int64_t tile_stride;    // bytes
  const std::byte* next;  // is read after the last tile: to be prefetched while that is multiplied
  int64_t first_block, blocks;
  int64_t row_blocks;  // of a whole activation row
  int64_t m;           // up to kSumRows
  RoundedRows x;       // from block 0 on
  bool first;          // sums begin at 0
  int64_t sum_rows;    // from tile to tile; m up to a multiple of 8, and of 16 from 9 on, at least
  float* sums;         // in and out: [tiles, sum_rows, 16]
  float* total;        // not null: the sums are added to this at the end, and not stored
};
inline constexpr int64_t kSectionBlocks = kTwoLevelColumns / kBlockColumns;
inline constexpr int64_t kSumRows = 64;

// Blocks of columns, the last one perhaps padded.
inline int64_t blocks_of(int64_t columns) {
  return (columns + kBlockColumns - 1) / kBlockColumns;
}

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

// One tile of a grouped weight, dequantized, times m float rows. Four partial sums s0..s3 by column
// modulo 4, each in ascending order; then (s0 + s1) + (s2 + s3).
struct PreciseArguments {
  const Format* format;
  const std::byte* tile;
  int64_t columns;
  int64_t m;
  const float* x;  // rows x_stride apart
  int64_t x_stride;
  float* sums;  // out: [m, 16]
};

// Blocks [first, end) of one row to be rounded. Columns behind the last one count as 0.
struct RoundArguments {
  const float* x;
  int64_t columns;
  int64_t first, end;
  int64_t stride;   // blocks from one block of the row to the next: the rows of its panel
  RoundedRows out;  // from the row's block 0 on
};

struct LinearKernels {
  void (*grouped)(const GroupedArguments&);
  void (*plain)(const PlainArguments&);
  void (*precise)(const PreciseArguments&);
  void (*round_row)(const RoundArguments&);
};

const LinearKernels& linear_kernels_generic();
const LinearKernels& linear_kernels_avx2();
const LinearKernels& linear_kernels_avx512();
const LinearKernels& linear_kernels_amx();

// The fastest table that runs on `isa`.
const LinearKernels& linear_kernels_for(Isa isa);

}  // namespace shoehorn
