// y = x W^T for up to 64 rows of x and a grouped W: what decoding and verification spend their time
// on. Included by the files that instantiate it, one for each number of bits.
//
// Bound by HBM: every weight byte is read once and used for all rows. To keep a 3.35 TB/s card busy
// takes some 5 MB of loads under way, 37 KB a multiprocessor; so weights travel by cp.async through
// rings in shared memory that belong to single warps (no barrier but __syncwarp), two or more
// stages of about 1 KiB ahead, and the ring does not drain between units of work.
//
// Unit of work of a block: two tiles (32 weight rows) x all columns. Columns are cut into 16 slices
// of stages. A warp sums its slice (kSlicesOfWarp of them one after another) in registers; then the
// slices are added in shared memory, two neighbours first, the pairs in ascending order. Nothing of
// this order depends on m, on the grid, or on where parts lie, so neither do the bits of a row. The
// grid is as many blocks as fit on the card at once; they take units in turn.
//
// Activations are read through L1, which the streams of weights bypass: 32 bytes a row and block of
// 32 columns, laid out so that a lane's two quads are one load (prepare.cu). With N tiles of 8 rows
// in registers at once, N = 4 at most: more rows are passes over the weights by neighbouring blocks
// of the grid, which find them in L2.
//
// A stage (4 bits: 64 columns, 1152 bytes) costs about 45 instructions a warp plus 50 for each 8
// rows, while HBM takes 76 cycles of the multiprocessor (304 issue slots) to deliver it: for up to
// 16 rows memory is the limit, for 64 the issue rate.
#pragma once

#include <algorithm>

#include "ops/cuda/launch.cuh"
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
  static constexpr int kStages = std::clamp(
      (99 * 1024 - kWarps * kSumFloats * 4) / kWarps / F::kStageBytes, 2, 6);
  static constexpr int kRingBytes = kStages * F::kStageBytes;
  static constexpr int kSharedBytes = kWarps * (kRingBytes + kSumFloats * 4);
};

// Where a warp works in one unit: stages [begin, end) of all stages of the columns of the parts.
struct Unit {
  int task, pass, pair;    // pair: of tiles in its part
  int part, within;        // where stage `begin` lies: part of the launch's table, stage in the part
  int begin, middle, end;  // middle: where the second slice begins
  int stages_of_part;
};

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
  while (unit.task + 1 < launch.task_count &&
         index >= launch.tasks[unit.task + 1].first_unit) {
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

// Where a warp's ring begins in shared memory.
template <class F, int N>
__device__ inline uint32_t ring_of(int warp) {
  extern __shared__ __align__(128) uint8_t shared[];
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared)) +
         static_cast<uint32_t>(warp * FewRows<F, N>::kRingBytes);
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

  __device__ int warp() const { return warp_; }

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
      const bool may_be_header = first < F::kHeaderChunks ||
                                 (first + 32 > kTile && first < kTile + F::kHeaderChunks);
      const bool in_header =
          may_be_header && lane_bytes_ < (F::kHeaderChunks - skipped) * 16;
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

// C = A B + 1.5 * 2^23 as integers: the result's bits are the float 1.5 * 2^23 + A B, as long as
// |A B| < 2^22 (it is at most 32 * 255 * 127). Subtracting is cheaper than converting.
constexpr int kMagicBits = 0x4B400000;
constexpr float kMagic = 12582912.0f;

template <bool kSigned>
__device__ inline void multiply_32(int (&c)[4], const uint32_t (&a)[4], uint2 b) {
  if constexpr (kSigned) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%10,%10,%10,%10};"
        : "=r"(c[0]), "=r"(c[1]), "=r"(c[2]), "=r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y), "r"(kMagicBits));
  } else {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%10,%10,%10,%10};"
        : "=r"(c[0]), "=r"(c[1]), "=r"(c[2]), "=r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y), "r"(kMagicBits));
  }
}
template <bool kSigned>
__device__ inline void multiply_16(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t b) {
  if constexpr (kSigned) {
    asm("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
        "{%7,%7,%7,%7};"
        : "=r"(c[0]), "=r"(c[1]), "=r"(c[2]), "=r"(c[3])
        : "r"(a0), "r"(a1), "r"(b), "r"(kMagicBits));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
        "{%7,%7,%7,%7};"
        : "=r"(c[0]), "=r"(c[1]), "=r"(c[2]), "=r"(c[3])
        : "r"(a0), "r"(a1), "r"(b), "r"(kMagicBits));
  }
}

// A lane's sums: of row tile n, weight row i of its four, x rows 8 n + 2 quad and the next.
template <int N>
using LaneSums = float[N][4][2];

// A lane's B fragments, and scales and sums for its columns of C, for one block of x.
template <class F, int N>
struct XBlock {
  uint2 codes[N];
  float2 scale[N];
  float2 sum[F::kHasMinimum ? N * F::kGroups : 1];
};

// Walks through x as a lane reads it. Offsets are bytes; they fit 32 bits many times over.
template <class F, int N>
class XReader {
 public:
  __device__ XReader(const FewRowsInput& x, int m)
      : x_(x), m_(m), code_step_(m * 32), scale_step_(x.m_padded * 4) {}

  __device__ void enter_unit(int pass) {
    const int lane = static_cast<int>(threadIdx.x % 32), first = pass * N * 8;
    // Rows past the end are the last one again: their sums go nowhere.
    for (int n = 0; n < N; ++n) {
      rows_[n] = pinned(min(first + n * 8 + lane / 4, m_ - 1) * 32 + lane % 4 * 8);
    }
    column_ = pinned((first + lane % 4 * 2) * 4);
  }
  __device__ void go_to(int block) {
    codes_at_ = block * code_step_;
    scales_at_ = block * scale_step_;
  }

  // The block at hand; then goes to the next one.
  __device__ XBlock<F, N> read() {
    XBlock<F, N> result;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const auto row = static_cast<uint32_t>(codes_at_ + rows_[n]);
      result.codes[n] = __ldg(reinterpret_cast<const uint2*>(x_.codes + row));
      result.scale[n] = load_pair(x_.scales, scales_at_, n);
      if constexpr (F::kHasMinimum && F::kGroups == 1) {
        result.sum[n] = load_pair(x_.block_sums, scales_at_, n);
      } else if constexpr (F::kHasMinimum) {
        result.sum[2 * n] = load_pair(x_.half_sums, 2 * scales_at_, n);
        result.sum[2 * n + 1] = load_pair(x_.half_sums, 2 * scales_at_ + scale_step_, n);
      }
    }
    codes_at_ += code_step_;
    scales_at_ += scale_step_;
    return result;
  }

 private:
  __device__ float2 load_pair(const float* array, int at, int n) const {
    const auto* bytes = reinterpret_cast<const std::byte*>(array);
    return __ldg(
        reinterpret_cast<const float2*>(bytes + static_cast<uint32_t>(at + column_)) + n * 4);
  }
  const FewRowsInput& x_;
  int m_, code_step_, scale_step_;
  int rows_[N], column_ = 0, codes_at_ = 0, scales_at_ = 0;
};

// sums += staged block j times a block of x.
template <class F, int N>
__device__ inline void multiply_block(uint32_t stage, int j, const LaneShare<F>& share,
                                      const XBlock<F, N>& x, LaneSums<N>& sums) {
  uint32_t codes[2][4];
  unpack_codes<F>(stage, (F::kHeaderChunks + j * F::kBlockChunks + F::kCodesAt) * 16, share, codes);
#pragma unroll
  for (int g = 0; g < F::kGroups; ++g) {
    float scale[4], minimum[4];
    load_scales<F>(stage, j, g, share, scale, minimum);
#pragma unroll
    for (int n = 0; n < N; ++n) {
#pragma unroll
      for (int p = 0; p < 2; ++p) {  // an MMA for rows 2 p and 2 p + 1 of each lane's four
        int c[4];
        if constexpr (F::kGroups == 2) {
          multiply_16<F::kSigned>(c, codes[g][2 * p], codes[g][2 * p + 1],
                                  g == 0 ? x.codes[n].x : x.codes[n].y);
        } else {
          const uint32_t a[4] = {codes[0][2 * p], codes[0][2 * p + 1], codes[1][2 * p],
                                 codes[1][2 * p + 1]};
          multiply_32<F::kSigned>(c, a, x.codes[n]);
        }
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          const int i = 2 * p + k / 2;
          float& sum = sums[n][i][k % 2];
          const float dot = __fsub_rn(__int_as_float(c[k]), kMagic);
          sum = __fmaf_rn(dot, __fmul_rn(scale[i], k % 2 ? x.scale[n].y : x.scale[n].x), sum);
          if constexpr (F::kHasMinimum) {
            const float2 x_sum = x.sum[n * F::kGroups + g];
            sum = __fmaf_rn(minimum[i], k % 2 ? x_sum.y : x_sum.x, sum);
          }
        }
      }
    }
  }
}

// The warp's sums into its place in shared memory: [x row][weight row of the unit]. add: to the
// slice before, which is there already.
template <class F, int N>
__device__ inline void store_sums(const LaneSums<N>& sums, const LaneShare<F>& share, int rows,
                                  bool add, float* target) {
#pragma unroll
  for (int n = 0; n < N; ++n) {
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const int row = n * 8 + share.quad * 2 + k;
      if (row >= rows) continue;
      auto* place = reinterpret_cast<float4*>(target + row * kSumStride + share.tile * 16 +
                                              share.four * 4);
      const float4 before = add ? *place : float4{};
      *place = {before.x + sums[n][0][k], before.y + sums[n][1][k], before.z + sums[n][2][k],
                before.w + sums[n][3][k]};
    }
  }
}

// All warps' sums of one unit, added in order and written out.
template <class F, int N>
__device__ inline void finish_unit(const Launch& launch, const Unit& unit, int place,
                                   const float* sums) {
  using K = FewRows<F, N>;
  const LaunchTask& task = launch.tasks[unit.task];
  const int first_x = unit.pass * K::kRows;
  const int x_rows = min(K::kRows, launch.m - first_x);
  for (int o = static_cast<int>(threadIdx.x); o < x_rows * kUnitRows; o += K::kThreads) {
    const int i = o / kUnitRows, r = o % kUnitRows;
    const int row = unit.pair * kUnitRows + r;
    if (row >= task.rows) continue;
    const float* at = sums + i * kSumStride + r;
    float value = 0;
#pragma unroll
    for (int w = 0; w < K::kWarps; w += 2 / K::kSlicesOfWarp) {
      float pair = at[w * K::kSumFloats];
      if constexpr (K::kSlicesOfWarp == 1) pair += at[(w + 1) * K::kSumFloats];
      value += pair;
    }
    value *= 1.0f / F::kShifted;
    const int64_t column = task.cut_by_columns ? row : int64_t{place} * task.rows + row;
    if (task.bias) value += task.bias[column];
    float& y = task.output[(first_x + i) * task.output_stride + column];
    y = task.add ? y + value : value;
  }
}

// A warp's place in its ring: the stage at hand, and the one before, which can be filled again.
struct RingPlace {
  uint32_t begin, at_hand, before;
};

// The sums of a unit's slices of this warp, left in shared memory.
template <class F, int N>
__device__ inline void sum_unit(const Launch& launch, Unit unit, XReader<F, N>& x,
                                const LaneShare<F>& share, Fetcher<F, N>& fetcher,
                                RingPlace& ring) {
  using K = FewRows<F, N>;
  extern __shared__ __align__(128) uint8_t shared[];
  const int warp = fetcher.warp();
  float* const warp_sums =
      reinterpret_cast<float*>(shared + K::kWarps * K::kRingBytes) + warp * K::kSumFloats;
  const LaunchTask& task = launch.tasks[unit.task];
  const int blocks_of_part = task.columns / 32;
  const int x_rows = min(K::kRows, launch.m - unit.pass * K::kRows);
  const auto first_block = [&] {
    return task.cut_by_columns ? launch.places[unit.part] * blocks_of_part : 0;
  };
  x.enter_unit(unit.pass);
  x.go_to(first_block() + unit.within * F::kStageBlocks);
  LaneSums<N> sums = {};
  bool second_slice = false;
  XBlock<F, N> at_hand = {};
  if (unit.begin < unit.end) at_hand = x.read();
#pragma unroll 1
  for (int stage = unit.begin; stage < unit.end; ++stage) {
    if (K::kSlicesOfWarp == 2 && stage == unit.middle) {
      store_sums<F, N>(sums, share, x_rows, false, warp_sums);
      for (auto& of_tile : sums) {
        for (auto& of_row : of_tile) of_row[0] = of_row[1] = 0;
      }
      second_slice = true;
    }
    asm volatile("cp.async.wait_group %0;" ::"n"(K::kStages - 2) : "memory");
    __syncwarp();  // the stage is there for all lanes, and all are done with the one before
    fetcher.fetch(ring.before);
    const bool whole = F::kStageBlocks == 1 || (unit.within + 1) * F::kStageBlocks <= blocks_of_part;
    if (++unit.within == unit.stages_of_part && stage + 1 < unit.end) unit.within = 0, ++unit.part;
#pragma unroll
    for (int j = 0; j < F::kStageBlocks; ++j) {
      // x is read a block ahead; behind the last one, in vain.
      if (j + 1 == F::kStageBlocks && unit.within == 0) x.go_to(first_block());
      const XBlock<F, N> next = x.read();
      if (j == 0 || whole) multiply_block<F, N>(ring.at_hand, j, share, at_hand, sums);
      at_hand = next;
    }
    ring.before = ring.at_hand;
    ring.at_hand += F::kStageBytes;
    if (ring.at_hand == ring.begin + K::kRingBytes) ring.at_hand = ring.begin;
  }
  store_sums<F, N>(sums, share, x_rows, second_slice, warp_sums);
}

template <class F, int N>
__global__ void __launch_bounds__(FewRows<F, N>::kThreads, FewRows<F, N>::kBlocksOfSm)
    few_rows_kernel(const __grid_constant__ FewRowsInput x, const __grid_constant__ Launch launch) {
  using K = FewRows<F, N>;
  extern __shared__ __align__(128) uint8_t shared[];
  let_next_kernel_start();
  const int pass_shift = launch.m > K::kRows ? 1 : 0;
  const int warp = warp_index();
  Fetcher<F, N> fetcher(launch, pass_shift, warp);
  RingPlace ring;
  ring.at_hand = ring.begin = __shfl_sync(0xFFFFFFFFu, ring_of<F, N>(warp), 0);
  ring.before = ring.at_hand + (K::kStages - 1) * F::kStageBytes;
#pragma unroll 1
  for (int s = 0; s + 1 < K::kStages; ++s) {
    fetcher.fetch(ring.at_hand + static_cast<uint32_t>(s) * F::kStageBytes);
  }
  wait_for_previous_kernel();  // it makes x; weights are nobody's output

  const LaneShare<F> share(static_cast<int>(threadIdx.x % 32));
  XReader<F, N> reader(x, launch.m);
#pragma unroll 1
  for (int index = static_cast<int>(blockIdx.x); index < launch.units << pass_shift;
       index += static_cast<int>(gridDim.x)) {
    const Unit unit = unit_of<F, N>(launch, pass_shift, warp, index);
    sum_unit<F, N>(launch, unit, reader, share, fetcher, ring);
    __syncthreads();
    finish_unit<F, N>(launch, unit, launch.tasks[unit.task].whole ? 0 : launch.places[unit.part],
                      reinterpret_cast<const float*>(shared + K::kWarps * K::kRingBytes));
    __syncthreads();
  }
}

template <class F, int N>
void launch_few_rows_of(Gpu& gpu, const Launch& launch, const FewRowsInput& x) {
  using K = FewRows<F, N>;
  static const cudaError_t prepared = cudaFuncSetAttribute(
      few_rows_kernel<F, N>, cudaFuncAttributeMaxDynamicSharedMemorySize, K::kSharedBytes);
  check_status(prepared);
  const int passes = launch.m > K::kRows ? 2 : 1;
  const int grid = std::min(launch.units * passes, gpu.facts().multiprocessors * K::kBlocksOfSm);
  launch_overlapped(gpu, few_rows_kernel<F, N>, dim3(static_cast<unsigned>(grid)),
                    dim3(K::kThreads), K::kSharedBytes, x, launch);
}

template <class F>
void launch_few_rows(Gpu& gpu, const Launch& launch, const FewRowsInput& x) {
  if (launch.m <= 8) return launch_few_rows_of<F, 1>(gpu, launch, x);
  if (launch.m <= 16) return launch_few_rows_of<F, 2>(gpu, launch, x);
  launch_few_rows_of<F, 4>(gpu, launch, x);
}

// The launcher of a format of so many bits, and meaning.
template <int kBits, CodeMeaning kMeaning>
FewRowsLauncher few_rows_launcher_of(const Format& format) {
  switch (format.scale) {
    case ScaleEncoding::f16:
      return format.group == kBlockColumns
                 ? launch_few_rows<GroupedFormat<kBits, Scales::each_block, kMeaning>>
                 : launch_few_rows<GroupedFormat<kBits, Scales::each_section, kMeaning>>;
    case ScaleEncoding::two_level:
      return format.group == kBlockColumns
                 ? launch_few_rows<GroupedFormat<kBits, Scales::two_level32, kMeaning>>
                 : launch_few_rows<GroupedFormat<kBits, Scales::two_level16, kMeaning>>;
    case ScaleEncoding::two_level_packed4:
      if constexpr (kBits == 2 && kMeaning == CodeMeaning::with_minimum) {
        return launch_few_rows<GroupedFormat<kBits, Scales::packed4, kMeaning>>;
      }
      break;
    case ScaleEncoding::none:
      break;
  }
  return nullptr;
}

// One for each file that instantiates kernels.
FewRowsLauncher few_rows_launcher_2(const Format& format);
FewRowsLauncher few_rows_launcher_3(const Format& format);
FewRowsLauncher few_rows_launcher_4(const Format& format);
FewRowsLauncher few_rows_launcher_5(const Format& format);
FewRowsLauncher few_rows_launcher_6(const Format& format);
FewRowsLauncher few_rows_launcher_8(const Format& format);

}  // namespace shoehorn
