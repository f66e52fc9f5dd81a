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
  bool cut_by_columns;
  bool add;
  bool whole;  // the weight is one part, at place 0
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

// Kernels read x ahead, this many blocks of 32 columns past its end.
inline constexpr int64_t kBlocksAhead = 2;
// Rows for which scales and sums of m <= kFewRows rows have room: a kernel reads all of its tiles'.
inline int64_t padded_few_rows(int64_t m) {
  return m <= 8 ? 8 : m <= 16 ? 16 : (m + 31) / 32 * 32;
}
// Scratch for m prepared rows, cut up: codes (or bf16) at its start, the rest at these bytes.
struct PreparedLayout {
  PreparedLayout(int64_t m, int64_t columns);
  int64_t scales, block_sums, half_sums, bytes;
};

// The activations as kernels take them.
struct FewRowsInput {
  const int8_t* codes;
  const float* scales;
  const float* block_sums;
  const float* half_sums;
  int32_t m_padded;
};
struct PlainInput {
  const float* values;
  int64_t stride;
};

// A kernel is launched over a Launch (all its tasks of one class of formats) and an input.
using FewRowsLauncher = void (*)(Gpu&, const Launch&, const FewRowsInput&);
// The launcher of a grouped format. The units it expects: pairs of tiles.
FewRowsLauncher few_rows_launcher(const Format& format);

// Plain weights times float rows, m <= kFewRows. Units: kPlainRows rows.
inline constexpr int kPlainRows = 4;
void plain_few_rows(Gpu& gpu, Storage storage, const Launch& launch, const PlainInput& x);

// More rows than kFewRows, or precise mode: matrix products of cuBLAS over dequantized weights.
void multiply_many_rows(Gpu& gpu, const GpuActivationRows& x, const PartsTask& task);
// Of their scratch, what cuBLAS asks for on Hopper; other cards need less. Values lie behind it.
inline constexpr int64_t kBlasWorkspaceBytes = int64_t{32} << 20;

}  // namespace shoehorn
