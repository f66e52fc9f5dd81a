// y = x W^T for up to kRoundedRows rows of x and a grouped W: what decoding and verification spend
// their time on. Included by the files that instantiate it, one for each number of bits.
//
// Bound by HBM: every weight byte is read once and used for all rows. To keep a 3.35 TB/s card busy
// takes some 3 MB of loads under way, 22 KB a multiprocessor; so weights travel by asynchronous
// copies (linear_ring.cuh) through rings in shared memory that belong to single warps (no barrier
// but __syncwarp), two stages of about 2 KiB, and the ring does not drain between units of work
// (linear_units.cuh). It is full before the previous kernel's results are there: that hides the
// small kernels between two products.
//
// Unit of work of a block: two tiles (32 weight rows) x all columns. Columns are cut into 16 slices
// of stages. A warp sums its slice (kSlicesOfWarp of them one after another) in registers; then the
// slices are added in shared memory, two neighbours first, the pairs in ascending order. Nothing of
// this order depends on m, on N, on the grid, or on where parts lie, so neither do the bits of a
// row. The grid is as many blocks as fit on the card at once; they take units in turn.
//
// Activations are read through L1, which the streams of weights bypass: 32 bytes a row and block of
// 32 columns, laid out so that a lane's two quads are one load (prepare.cu), two blocks ahead where
// registers allow. N tiles of 8 rows are in registers at once, N = 4 at most: more rows are passes
// over the weights by neighbouring blocks of the grid, which find them in L2.
//
// A stage (4 bits: 128 columns, 2304 bytes) costs a warp about 290 instructions for one row, 340
// for up to 8, and 130 more for each 8 rows, while HBM takes 150 cycles of the multiprocessor (600
// issue slots) to deliver it. So up to 16 rows memory is the limit for 4 to 8 bits; narrower codes
// and scales by groups of 16 come close to the issue rate. From 32 rows on it is issuing, and L2: a
// unit's x (36 bytes a row and block) is read by every block again, 4.6 KB a stage for 32 rows.
// No register may spill in the loop over stages: L1 writes through, and 1 KiB a stage cost 16 %.
#pragma once

#include "ops/cuda/launch.cuh"
#include "ops/cuda/linear_x.cuh"

namespace shoehorn {

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

// sums += a staged block times a block of x. kSingle: x has one row, and half of a lane's sums are
// not wanted.
template <class F, int N, bool kSingle>
__device__ inline void multiply_block(const StagedBlock& block, const LaneShare<F>& share,
                                      const XBlock<F, N>& x, LaneSums<N>& sums) {
  uint32_t codes[2][4];
  const bool has_scales = F::kScales != Scales::sections || block.two_level;
  unpack_codes<F>(block.start + (has_scales ? F::kBlockScaleBytes : 0), share, codes);
#pragma unroll
  for (int g = 0; g < F::kGroups; ++g) {
    float scale[4], minimum[4];
    load_scales<F>(block, g, share, scale, minimum);
#pragma unroll
    for (int n = 0; n < N; ++n) {
      int c[2][4];
#pragma unroll
      for (int p = 0; p < 2; ++p) {  // an MMA for rows 2 p and 2 p + 1 of each lane's four
        if constexpr (F::kGroups == 2) {
          multiply_16<F::kSigned>(c[p], codes[g][2 * p], codes[g][2 * p + 1],
                                  g == 0 ? x.codes[n].x : x.codes[n].y);
        } else {
          const uint32_t a[4] = {codes[0][2 * p], codes[0][2 * p + 1], codes[1][2 * p],
                                 codes[1][2 * p + 1]};
          multiply_32<F::kSigned>(c[p], a, x.codes[n]);
        }
      }
      const auto add_column = [&](int k) {
        const float x_scale = block.there ? (k ? x.scale[n].y : x.scale[n].x) : 0.0f;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          float& sum = sums[n][i][k];
          const float dot = __fsub_rn(__int_as_float(c[i / 2][i % 2 * 2 + k]), kMagic);
          sum = __fmaf_rn(dot, __fmul_rn(scale[i], x_scale), sum);
          if constexpr (F::kHasMinimum) {
            const float2 x_sum = x.sum[n * F::kGroups + g];
            sum = __fmaf_rn(minimum[i], block.there ? (k ? x_sum.y : x_sum.x) : 0.0f, sum);
          }
        }
      };
      add_column(0);
      if constexpr (!kSingle) add_column(1);
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
      auto* place =
          reinterpret_cast<float4*>(target + row * kSumStride + share.tile * 16 + share.four * 4);
      const float4 before = add ? *place : float4{};
      *place = {before.x + sums[n][0][k], before.y + sums[n][1][k], before.z + sums[n][2][k],
                before.w + sums[n][3][k]};
    }
  }
}

// All warps' sums of one unit, added in order and written out.
template <class F, int N>
__device__ inline void finish_unit(const Launch& launch, const Unit& unit, int place,
                                   const float* sums, int sums_of_warp) {
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
      float pair = at[w * sums_of_warp];
      if constexpr (K::kSlicesOfWarp == 1) pair += at[(w + 1) * sums_of_warp];
      value += pair;
    }
    value *= 1.0f / F::kShifted;
    const int64_t column = task.cut_by_columns ? row : int64_t{place} * task.rows + row;
    if (task.bias) value += task.bias[column];
    float& y = task.output[(first_x + i) * task.output_stride + column];
    y = task.add ? y + value : value;
  }
}

// What a warp works with all through a launch.
template <class F, int N>
class Worker {
 public:
  using K = FewRows<F, N>;

  // rings: of the block, in shared memory.
  __device__ Worker(const Launch& launch, const FewRowsInput& x, const LaunchPlan& plan,
                    uint32_t rings)
      : launch_(launch),
        warp_(warp_index()),
        fetcher_(launch, plan, warp_),
        x_(x, launch.m),
        share_(static_cast<int>(threadIdx.x % 32)) {
    const auto ring_bytes = static_cast<uint32_t>(plan.stages * F::kSlotBytes);
    begin_ = at_hand_ = rings + static_cast<uint32_t>(warp_) * ring_bytes;
    end_ = begin_ + ring_bytes;
    // What a copy does not overwrite must be finite.
    for (uint32_t at = begin_ + threadIdx.x % 32 * 16; at < end_; at += 512) store_zeros(at);
    __syncwarp();
    if (threadIdx.x % 32 == 0) {
#pragma unroll 1
      for (uint32_t slot = begin_; slot < end_; slot += F::kSlotBytes) {
        init_barrier(slot + F::kStageBytes);
      }
    }
    show_to_copies();
    __syncwarp();
  }

  __device__ void fill_ring() {
#pragma unroll 1
    for (uint32_t slot = begin_; slot < end_; slot += F::kSlotBytes) fetcher_.fetch(slot);
  }

  // The sums of a unit's slices of this warp, left at target in shared memory.
  template <bool kSingle>
  __device__ void sum_unit(Unit unit, float* target) {
    const LaunchTask& task = launch_.tasks[unit.task];
    const int blocks_of_part = task.columns / 32;
    const int x_rows = min(K::kRows, launch_.m - unit.pass * K::kRows);
    const auto first_block = [&] {
      return task.cut_by_columns ? launch_.places[unit.part] * blocks_of_part : 0;
    };
    x_.go_to(unit.pass, first_block() + unit.within * F::kStageBlocks);
    LaneSums<N> sums = {};
    bool second_slice = false;
    // Of x, the block at hand and as many as are multiplied without a branch are read ahead.
    XBlock<F, N> ahead[kUnrolled];
    if (unit.begin < unit.end) {
      for (auto& block : ahead) block = x_.read();
    }
#pragma unroll 1
    for (int stage = unit.begin; stage < unit.end; ++stage) {
      if (K::kSlicesOfWarp == 2 && stage == unit.middle) {
        store_sums<F, N>(sums, share_, x_rows, false, target);
        for (auto& of_tile : sums) {
          for (auto& of_row : of_tile) of_row[0] = of_row[1] = 0;
        }
        second_slice = true;
      }
      const int blocks = blocks_of_part - unit.within * F::kStageBlocks;  // the last stage has few
      if (++unit.within == unit.stages_of_part && stage + 1 < unit.end) {
        unit.within = 0, ++unit.part;
      }
      wait_for_stage(at_hand_ + F::kStageBytes, parity_);
      uint32_t block = at_hand_ + F::kHeaderBytes;
#pragma unroll 1
      for (int j = 0; j < F::kStageBlocks; j += kUnrolled) {
        if (j + kUnrolled == F::kStageBlocks && unit.within == 0) {
          x_.go_to(unit.pass, first_block());
        }
#pragma unroll
        for (int u = 0; u < kUnrolled; ++u) {
          multiply_block<F, N, kSingle>({.header = kEachBlock ? block - F::kHeaderBytes : at_hand_,
                                         .start = block,
                                         .two_level = task.two_level,
                                         .there = !kEachBlock || j + u < blocks},
                                        share_, ahead[u], sums);
          ahead[u] = x_.read();  // behind the last block, in vain
          block += kEachBlock ? F::kHeaderBytes + F::kCodeBytes
                              : static_cast<uint32_t>(task.block_bytes);
        }
      }
      __syncwarp();  // all lanes are done with the stage
      fetcher_.fetch(at_hand_);
      at_hand_ += F::kSlotBytes;
      if (at_hand_ == end_) at_hand_ = begin_, parity_ ^= 1;
    }
    store_sums<F, N>(sums, share_, x_rows, second_slice, target);
  }

  __device__ int warp() const {
    return warp_;
  }

 private:
  static constexpr bool kEachBlock = F::kScales == Scales::each_block;
  // Two where registers allow.
  static constexpr int kUnrolled = kEachBlock && !F::kHasMinimum && F::kStageBlocks > 1 ? 2 : 1;

  const Launch& launch_;
  int warp_;
  Fetcher<F, N> fetcher_;
  XReader<F, N> x_;
  LaneShare<F> share_;
  uint32_t begin_, end_;  // of the warp's ring
  uint32_t at_hand_, parity_ = 0;
};

template <class F, int N>
__global__ void __launch_bounds__(FewRows<F, N>::kThreads, FewRows<F, N>::kBlocksOfSm)
    few_rows_kernel(const __grid_constant__ FewRowsInput x, const __grid_constant__ Launch launch,
                    const __grid_constant__ LaunchPlan plan) {
  using K = FewRows<F, N>;
  extern __shared__ __align__(128) uint8_t shared[];
  let_next_kernel_start();
  Worker<F, N> worker(launch, x, plan, static_cast<uint32_t>(__cvta_generic_to_shared(shared)));
  worker.fill_ring();
  const int sums_of_warp = floats_of_sums(plan.sum_rows);
  auto* const sums = reinterpret_cast<float*>(shared + K::kWarps * plan.stages * F::kSlotBytes);
  wait_for_previous_kernel();  // it makes x; weights are nobody's output
#pragma unroll 1
  for (int index = static_cast<int>(blockIdx.x); index < launch.units * plan.passes;
       index += static_cast<int>(gridDim.x)) {
    const Unit unit = unit_of<F, N>(launch, plan, worker.warp(), index);
    float* const target = sums + worker.warp() * sums_of_warp;
    if (K::kHasSingleLoop && launch.m == 1) {
      worker.template sum_unit<K::kHasSingleLoop>(unit, target);
    } else {
      worker.template sum_unit<false>(unit, target);
    }
    __syncthreads();
    finish_unit<F, N>(launch, unit, launch.tasks[unit.task].whole ? 0 : launch.places[unit.part],
                      sums, sums_of_warp);
    __syncthreads();
  }
}

template <class F, int N>
FewRowsKernel few_rows_kernel_of() {
  using K = FewRows<F, N>;
  return {.function = few_rows_kernel<F, N>,
          .rows = K::kRows,
          .warps = K::kWarps,
          .blocks_of_sm = K::kBlocksOfSm,
          .slot_bytes = F::kSlotBytes};
}

template <class F>
FewRowsKernels few_rows_kernels_of() {
  FewRowsKernels kernels = {.of_16 = few_rows_kernel_of<F, 2>()};
  if constexpr (F::kUsual) {
    kernels.of_8 = few_rows_kernel_of<F, 1>();
    kernels.of_32 = few_rows_kernel_of<F, 4>();
  }
  return kernels;
}

// The kernels of a format of so many bits, and meaning.
template <int kBits, CodeMeaning kMeaning>
FewRowsKernels few_rows_kernels_for(const Format& format) {
  if (format.group == kBlockColumns && !format.two_level()) {
    return few_rows_kernels_of<GroupedFormat<kBits, Scales::each_block, kMeaning>>();
  }
  if (format.group >= kBlockColumns) {
    return few_rows_kernels_of<GroupedFormat<kBits, Scales::sections, kMeaning>>();
  }
  if constexpr (kBits == 2 && kMeaning == CodeMeaning::with_minimum) {
    if (format.scale == ScaleEncoding::two_level_packed4) {
      return few_rows_kernels_of<GroupedFormat<kBits, Scales::packed4, kMeaning>>();
    }
  }
  return few_rows_kernels_of<GroupedFormat<kBits, Scales::halves, kMeaning>>();
}

}  // namespace shoehorn
