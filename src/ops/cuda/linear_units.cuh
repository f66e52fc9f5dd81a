// The units of work of linear_few_rows.cuh, and how a warp fetches their weights.
#pragma once

#include <algorithm>

#include "ops/cuda/linear_parts.h"
#include "ops/cuda/linear_unpack.cuh"

namespace shoehorn {

constexpr int kSlices = 16;
constexpr int kUnitRows = 32;
constexpr int kSumStride = kUnitRows + 4;  // floats between rows of x in the sums; pads banks

template <class F, int N>
struct FewRows {
  static constexpr int kWarps = N == 4 ? 8 : 16;
  static constexpr int kThreads = kWarps * 32;
  static constexpr int kBlocksOfSm = N == 2 ? 1 : 2;  // what registers allow: 64 a thread, else 128
  static constexpr int kSlicesOfWarp = kSlices / kWarps;
  static constexpr int kRows = N * 8;
  static constexpr int kSumFloats = kRows * kSumStride;  // of one warp
  // As many stages as fit: twice into the 227 KiB of a data-center card, once into 99 KiB.
  static constexpr int kStages =
      std::clamp((99 * 1024 - kWarps * kSumFloats * 4) / kWarps / F::kStageBytes, 2, 6);
  static constexpr int kRingBytes = kStages * F::kStageBytes;
  static constexpr int kSharedBytes = kWarps * (kRingBytes + kSumFloats * 4);
};

// Where a warp works in one unit: stages [begin, end) of all stages of the columns of the parts.
struct Unit {
  int task, pass, pair;  // pair: of tiles in its part
  int part, within;      // where stage `begin` lies: part of the launch's table, stage in the part
  int begin, middle, end;  // middle: where the second slice begins
  int stages_of_part;
};

// Passes over the weights for m rows, as a power of two.
template <int N>
__host__ __device__ constexpr int pass_shift_of(int m) {
  return m <= N * 8 ? 0 : m <= N * 16 ? 1 : 2;
}

// The same for all lanes in a way that the compiler sees: what follows from it lives in uniform
// registers, else the loop's state would not fit beside its sums.
__device__ inline int warp_index() {
  return __shfl_sync(0xFFFFFFFFu, static_cast<int>(threadIdx.x / 32), 0);
}

// a / b for a < 2^16, given 2^32 / b rounded up.
__device__ inline int divide(int a, uint32_t reciprocal) {
  return static_cast<int>(__umulhi(static_cast<uint32_t>(a), reciprocal));
}

template <class F, int N>
__device__ inline Unit unit_of(const Launch& launch, int pass_shift, int warp, int index) {
  using K = FewRows<F, N>;
  Unit unit;
  unit.pass = index & ((1 << pass_shift) - 1);
  index >>= pass_shift;
  unit.task = 0;
  while (unit.task + 1 < launch.task_count && index >= launch.tasks[unit.task + 1].first_unit) {
    ++unit.task;
  }
  const LaunchTask& task = launch.tasks[unit.task];
  unit.stages_of_part = (task.columns / 32 + F::kStageBlocks - 1) / F::kStageBlocks;
  unit.pair = index - task.first_unit;
  unit.part = task.first_part;
  int stages = unit.stages_of_part;
  if (task.cut_by_columns) {
    stages *= task.parts;
  } else if (task.parts > 1) {
    const int which = divide(unit.pair, task.units_reciprocal);
    unit.pair -= which * task.units_of_part;
    unit.part += which;
  }
  const int slice = warp * K::kSlicesOfWarp;
  unit.begin = stages * slice / kSlices;
  unit.middle = stages * (slice + 1) / kSlices;
  unit.end = stages * (slice + K::kSlicesOfWarp) / kSlices;
  unit.within = unit.begin;
  if (task.cut_by_columns) {
    const int skipped = unit.begin / unit.stages_of_part;
    unit.within -= skipped * unit.stages_of_part;
    unit.part += skipped;
  }
  return unit;
}

// Fetches the stages of all units of the warp's block, in order.
template <class F, int N>
class Fetcher {
 public:
  __device__ Fetcher(const Launch& launch, int pass_shift, int warp)
      : launch_(launch),
        pass_shift_(pass_shift),
        warp_(warp),
        lane_bytes_(pinned(static_cast<int>(threadIdx.x % 32) * 16)),
        index_(static_cast<int>(blockIdx.x)) {
    enter_unit();
  }

  // The next stage, if there is one, as one group of asynchronous copies.
  __device__ void fetch(uint32_t slot) {
    if (left_ > 0) {
      copy_stage(slot);
      --left_;
      ++within_;
      if (left_ == 0) {
        index_ += static_cast<int>(gridDim.x);
        enter_unit();
      } else if (within_ == stages_of_part_) {
        ++part_;
        enter_part(0);
      }
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }

 private:
  __device__ void enter_unit() {
    left_ = 0;
    for (; index_ < launch_.units << pass_shift_; index_ += static_cast<int>(gridDim.x)) {
      const Unit unit = unit_of<F, N>(launch_, pass_shift_, warp_, index_);
      left_ = unit.end - unit.begin;
      if (left_ == 0) continue;
      const LaunchTask& task = launch_.tasks[unit.task];
      part_ = unit.part;
      stages_of_part_ = unit.stages_of_part;
      tile_bytes_ = static_cast<int>(task.part_tile_bytes);
      section_shift_ = task.section_shift;
      tile_offset_ = unit.pair * 2 * task.part_tile_bytes;
      second_tile_ = unit.pair * 32 + 16 < task.rows ? tile_bytes_ : 0;
      enter_part(unit.within);
      return;
    }
  }

  __device__ void enter_part(int within) {
    tile_ = launch_.parts[part_] + tile_offset_;
    within_ = within;
  }

  // Chunk k of a tile's share of a stage lies at body + 16 k in the tile, its header's at 16 k from
  // the section's start. What would lie behind the tile is the missing end of its last stage.
  __device__ void copy_stage(uint32_t slot) const {
    const int block = within_ * F::kStageBlocks;
    int header = 0, body = block * F::kBlockChunks * 16;
    if constexpr (F::kHeaderChunks > 0) {
      const int section = block >> section_shift_;
      header = section * (F::kHeaderChunks * 16 + (F::kBlockChunks * 16 << section_shift_));
      body += section * F::kHeaderChunks * 16;
    }
    header += lane_bytes_;
    body += lane_bytes_;
    const uint32_t target = slot + static_cast<uint32_t>(lane_bytes_);
#pragma unroll
    for (int first = 0; first < F::kStageChunks; first += 32) {
      // What is the same for all lanes folds away when the loop is unrolled.
      constexpr int kTile = F::kTileChunks;
      const bool second =
          first >= kTile || (first + 32 > kTile && lane_bytes_ >= (kTile - first) * 16);
      const int skipped = first - (second ? kTile : 0);  // k = lane + skipped
      const bool may_be_header =
          first < F::kHeaderChunks || (first + 32 > kTile && first < kTile + F::kHeaderChunks);
      const bool in_header = may_be_header && lane_bytes_ < (F::kHeaderChunks - skipped) * 16;
      const int at = (in_header ? header : body) + skipped * 16;
      if (first + 32 > F::kStageChunks && lane_bytes_ >= (F::kStageChunks - first) * 16) continue;
      if (F::kStageBlocks > 1 && at >= tile_bytes_) continue;
      const std::byte* source = tile_ + static_cast<uint32_t>((second ? second_tile_ : 0) + at);
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                       target + static_cast<uint32_t>(first) * 16),
                   "l"(source)
                   : "memory");
    }
  }

  const Launch& launch_;
  int pass_shift_, warp_, lane_bytes_, index_;
  int left_ = 0, within_ = 0, stages_of_part_ = 0;  // stages
  int part_ = 0, tile_bytes_ = 0, second_tile_ = 0, section_shift_ = 0;
  int64_t tile_offset_ = 0;
  const std::byte* tile_ = nullptr;
};

}  // namespace shoehorn
