// What the bodies of linear layers on a card share: tasks over tables of weight parts, in the form
// that travels to a kernel as its parameter.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/linear.h"

namespace shoehorn {

// One task of any of the three calls. An unsplit weight is a table of one part.
struct PartsTask {
  SplitWeight weight;
  bool cut_by_columns = false;  // else by rows
  const float* bias = nullptr;
  Tensor output;
  OutputMode mode = OutputMode::store;
};

inline constexpr int kLaunchTasks = 4;    // of one kernel
inline constexpr int kLaunchParts = 256;  // of all of them

// A task inside a launch. A unit of work is what a thread block takes at a time.
struct LaunchTask {
  float* output;
  const float* bias;
  int64_t output_stride;
  int64_t part_tile_bytes;  // grouped: bytes of a tile
  int32_t rows;             // of a part
  int32_t columns;          // of a part
  int32_t first_part;       // in the launch's tables
  int32_t parts;            // those that are there
  int32_t first_unit;
  int32_t units_of_part;      // by rows of W
  uint32_t units_reciprocal;  // 2^32 / units_of_part, rounded up
  int32_t section_shift;      // grouped: log2 of the blocks of 32 columns that share a scale header
  int32_t block_bytes;        // grouped: of a tile, two-level scales and codes
  bool cut_by_columns;
  bool add;
  bool whole;  // the weight is one part, at place 0
  bool two_level;
};

// What every block reads comes first, for the sake of the constant cache.
struct Launch {
  int32_t task_count;
  int32_t units;
  int32_t m;
  LaunchTask tasks[kLaunchTasks];
  const std::byte* parts[kLaunchParts];
  // Of each part in the whole matrix: its rows or columns begin at place * rows or columns.
  uint8_t places[kLaunchParts];
};
static_assert(kMaxParts <= 256, "a place is a byte");

// Up to this many rows grouped weights multiply rounded rows: reading them for 32 rows at a time is
// faster than dequantizing them.
inline constexpr int64_t kRoundedRows = 128;
inline int64_t rounded_rows(const Format& format) {
  return format.group >= kBlockColumns ? kRoundedRows
                                       : kFewRows;  // groups of 16 cost twice as much
}
// Kernels read x ahead, this many blocks of 32 columns past its end.
inline constexpr int64_t kBlocksAhead = 5;
// Rows for which scales and sums of m <= kRoundedRows rows have room: a kernel reads all of its
// tiles'.
inline int64_t padded_few_rows(int64_t m) {
  return m <= 8 ? 8 : m <= 16 ? 16 : (m + 31) / 32 * 32;
}
// Scratch for m prepared rows, cut up: codes of up to kRoundedRows rows at its start, the rest at
// these bytes; bf16 of more than kFewRows rows.
struct PreparedLayout {
  PreparedLayout(int64_t m, int64_t columns);
  int64_t scales = 0, block_sums = 0, half_sums = 0, bf16 = 0, bytes = 0;
};

// The activations as kernels take them.
struct FewRowsInput {
  const int8_t* codes;
  const float* scales;
  const float* block_sums;
  const float* half_sums;
  int32_t m_padded;
};
// What the host decides about a launch. A block's shared memory: rings, then sums, [warp][x row].
struct LaunchPlan {
  int32_t passes;            // over the weights
  uint32_t pass_reciprocal;  // 2^32 / passes, rounded up
  int32_t stages;            // of a ring
  int32_t sum_rows;          // x rows that there is room for
  int32_t blocks;            // of the grid
  int32_t shared_bytes;
};
// Sums of a unit's weight rows by a warp: floats from one row of x to the next, which pads banks;
// and of so many rows.
inline constexpr int kUnitRows = 2 * kTileRows;
inline constexpr int kSumStride = kUnitRows + 4;
constexpr int floats_of_sums(int rows) {
  return rows * kSumStride - 4;
}

struct PlainInput {
  const float* values;
  int64_t stride;
};

// A kernel of linear_few_rows.cuh, and what launching it takes to know.
struct FewRowsKernel {
  void (*function)(FewRowsInput, Launch, LaunchPlan) = nullptr;
  int rows = 0;          // of x, in one pass over the weights
  int warps = 0;         // of a block
  int blocks_of_sm = 0;  // that registers allow
  int slot_bytes = 0;    // of a stage in a warp's ring

  bool operator==(const FewRowsKernel&) const = default;
};
// The kernels of a class of formats, for 8, 16 and 32 rows. Formats that no file has do with 16.
struct FewRowsKernels {
  FewRowsKernel of_8, of_16, of_32;

  bool operator==(const FewRowsKernels&) const = default;
};
// Of formats of so many bits; one for each file that instantiates kernels.
FewRowsKernels few_rows_kernels_2(const Format& format);
FewRowsKernels few_rows_kernels_3(const Format& format);
FewRowsKernels few_rows_kernels_4(const Format& format);
FewRowsKernels few_rows_kernels_5(const Format& format);
FewRowsKernels few_rows_kernels_6(const Format& format);
FewRowsKernels few_rows_kernels_8(const Format& format);

// Launches the kernel that suits launch.m. The units it expects: pairs of tiles.
void launch_few_rows(Gpu& gpu, const FewRowsKernels& kernels, const Launch& launch,
                     const FewRowsInput& x);

// Plain weights times float rows, m <= kFewRows. Units: kPlainRows rows.
inline constexpr int kPlainRows = 4;
void plain_few_rows(Gpu& gpu, Storage storage, const Launch& launch, const PlainInput& x);

// More rows than kFewRows, or precise mode: matrix products of cuBLAS over dequantized weights.
void multiply_many_rows(Gpu& gpu, const GpuActivationRows& x, const PartsTask& task);
// Of their scratch, what cuBLAS asks for on Hopper; other cards need less. Values lie behind it.
inline constexpr int64_t kBlasWorkspaceBytes = int64_t{32} << 20;

}  // namespace shoehorn
