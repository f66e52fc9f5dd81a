// The units of work of linear_few_rows.cuh, and how a warp fetches their weights.
#pragma once

#include "ops/cuda/linear_parts.h"
#include "ops/cuda/linear_ring.cuh"
#include "ops/cuda/linear_unpack.cuh"

namespace shoehorn {

constexpr int kSlices = 16;
template <class F, int N>
struct FewRows {
  static constexpr int kWarps = N == 4 ? 8 : 16;
  static constexpr int kThreads = kWarps * 32;
  static constexpr int kBlocksOfSm = N == 2 ? 1 : 2;  // what registers allow: 64 a thread, else 128
  static constexpr int kSlicesOfWarp = kSlices / kWarps;
  static constexpr int kRows = N * 8;
  // One row has a loop of its own, but not at 8 bits: there it took 163 us for 383 MB, and 143 with
  // the loop of 8 rows.
  static constexpr bool kHasSingleLoop = N == 1 && F::kBits < 8;
};

// Where a warp works in one unit: stages [begin, end) of all stages of the columns of the parts.
struct Unit {
  int task, pass, pair;  // pair: of tiles in its part
  int part, within;      // where stage `begin` lies: part of the launch's table, stage in the part
  int begin, middle, end;  // middle: where the second slice begins
  int stages_of_part;
};

// The same for all lanes in a way that the compiler sees: what follows from it lives in uniform
// registers, else the loop's state would not fit beside its sums.
__device__ inline int warp_index() {
  return __shfl_sync(0xFFFFFFFFu, static_cast<int>(threadIdx.x / 32), 0);
}

// a / b for a * b < 2^32, given 2^32 / b rounded up.
__device__ inline int divide(int a, uint32_t reciprocal) {
  return static_cast<int>(__umulhi(static_cast<uint32_t>(a), reciprocal));
}

template <class F, int N>
__device__ inline Unit unit_of(const Launch& launch, const LaunchPlan& plan, int warp, int index) {
  using K = FewRows<F, N>;
  Unit unit;
  unit.pass = 0;
  if (plan.passes > 1) {
    const int of_weight = divide(index, plan.pass_reciprocal);
    unit.pass = index - of_weight * plan.passes;
    index = of_weight;
  }
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
    const int which =
        task.units_of_part == 1 ? unit.pair : divide(unit.pair, task.units_reciprocal);
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
  __device__ Fetcher(const Launch& launch, const LaunchPlan& plan, int warp)
      : launch_(launch), plan_(plan), warp_(warp), index_(static_cast<int>(blockIdx.x)) {
    enter_unit();
  }

  // The next stage, if there is one.
  __device__ void fetch(uint32_t slot) {
    if (left_ == 0) return;
    if (kSections && to_header_ == section_bytes_) {  // the next section's header comes
      to_header_ = 0;
      source_ += F::kHeaderBytes;
    }
    const int bytes = kSections || left_of_part_ > 1 ? stage_bytes() : last_bytes_;
    if (filling_lane()) copy_stage(slot, bytes);
    source_ += bytes;
    if constexpr (kSections) to_header_ += bytes;
    --left_of_part_;
    if (--left_ == 0) {
      index_ += static_cast<int>(gridDim.x);
      enter_unit();
    } else if (left_of_part_ == 0) {
      ++part_;
      enter_part(0);
    }
  }

 private:
  static constexpr bool kSections = F::kScales != Scales::each_block;

  // Of a tile.
  __device__ int stage_bytes() const {
    return kSections ? F::kStageBlocks * block_bytes_ : F::kTileBytes;
  }

  __device__ void enter_unit() {
    left_ = 0;
    for (; index_ < launch_.units * plan_.passes; index_ += static_cast<int>(gridDim.x)) {
      const Unit unit = unit_of<F, N>(launch_, plan_, warp_, index_);
      left_ = unit.end - unit.begin;
      if (left_ == 0) continue;
      const LaunchTask& task = launch_.tasks[unit.task];
      task_ = unit.task;
      pair_ = unit.pair;
      part_ = unit.part;
      const auto tile_bytes = static_cast<int>(task.part_tile_bytes);
      second_tile_ = unit.pair * 32 + 16 < task.rows ? tile_bytes : 0;
      stages_of_part_ = unit.stages_of_part;
      if constexpr (kSections) {
        block_bytes_ = task.block_bytes;
        section_bytes_ = task.block_bytes << task.section_shift;
      } else {
        last_bytes_ = tile_bytes - (stages_of_part_ - 1) * F::kTileBytes;
      }
      enter_part(unit.within);
      return;
    }
  }

  __device__ void enter_part(int within) {
    source_ = launch_.parts[part_] + pair_ * 2 * launch_.tasks[task_].part_tile_bytes +
              within * stage_bytes();
    left_of_part_ = stages_of_part_ - within;
    if (!kSections) return;
    const int codes = within * stage_bytes(), section = codes / section_bytes_;
    to_header_ = codes - section * section_bytes_;
    source_ += section * F::kHeaderBytes;
    if (to_header_ == 0) {
      to_header_ = section_bytes_;  // as if the section before had just ended
    } else {
      source_ += F::kHeaderBytes;
    }
  }

  // Of both tiles; before a section's blocks goes its header, which is where it should be if the
  // section begins here.
  __device__ void copy_stage(uint32_t slot, int bytes) const {
    constexpr int kHeader = kSections ? F::kHeaderBytes : 0;
    const uint32_t barrier = slot + F::kStageBytes;
    expect_bytes(barrier, 2 * (kHeader + bytes));
    if (to_header_ == 0) {
      copy_piece(slot, source_ - kHeader, kHeader + bytes, barrier);
      copy_piece(slot + F::kTileBytes, source_ - kHeader + second_tile_, kHeader + bytes, barrier);
    } else {
      const std::byte* header = source_ - to_header_ - kHeader;
      copy_piece(slot, header, kHeader, barrier);
      copy_piece(slot + F::kTileBytes, header + second_tile_, kHeader, barrier);
      copy_piece(slot + kHeader, source_, bytes, barrier);
      copy_piece(slot + kHeader + F::kTileBytes, source_ + second_tile_, bytes, barrier);
    }
    end_filling(barrier);
  }

  const Launch& launch_;
  const LaunchPlan& plan_;
  int warp_, index_;
  int left_ = 0, left_of_part_ = 0;  // stages until the unit, the part ends
  int task_ = 0, pair_ = 0, part_ = 0, stages_of_part_ = 0;
  int last_bytes_ = 0, block_bytes_ = 0, section_bytes_ = 0;  // of a tile; without headers
  int second_tile_ = 0;                                       // from the first
  int to_header_ = 0;                  // back from source_ to the end of its section's header
  const std::byte* source_ = nullptr;  // of the first tile's next stage
};

}  // namespace shoehorn
