// y = x W^T for up to 64 rows of x and a grouped W: what decoding and verification spend their time
// on. Included by the files that instantiate it, one for each number of bits.
//
// Bound by HBM: every weight byte is read once and used for all rows. To keep a 3.35 TB/s card busy
// takes some 5 MB of loads under way, 37 KB a multiprocessor; so weights travel by cp.async through
// rings in shared memory that belong to single warps (no barrier but __syncwarp), some stages of
// about 1 KiB ahead, and the ring does not drain between units of work (linear_units.cuh).
//
// Unit of work of a block: two tiles (32 weight rows) x all columns. Columns are cut into 16 slices
// of stages. A warp sums its slice (kSlicesOfWarp of them one after another) in registers; then the
// slices are added in shared memory, two neighbours first, the pairs in ascending order. Nothing of
// this order depends on m, on N, on the grid, or on where parts lie, so neither do the bits of a
// row. The grid is as many blocks as fit on the card at once; they take units in turn.
//
// Activations are read through L1, which the streams of weights bypass: 32 bytes a row and block of
// 32 columns, laid out so that a lane's two quads are one load (prepare.cu), one block ahead. N
// tiles of 8 rows are in registers at once, N = 4 at most: more rows are passes over the weights by
// neighbouring blocks of the grid, which find them in L2.
//
// A stage (4 bits: 64 columns, 1152 bytes) costs a warp about 150 instructions and 50 more for each
// 8 rows, while HBM takes 76 cycles of the multiprocessor (304 issue slots) to deliver it. So up to
// 8 rows memory is the limit for 4 to 8 bits; narrower codes and scales by groups of 16 come close
// to the issue rate. From 16 rows on it is L2: a unit's x (36 bytes a row and block) is read by
// every block again, 2.3 KB a stage for 32 rows.
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

// What a warp works with all through a launch.
template <class F, int N>
class Worker {
 public:
  using K = FewRows<F, N>;

  __device__ Worker(const Launch& launch, const FewRowsInput& x, int pass_shift, uint8_t* shared)
      : launch_(launch),
        warp_(warp_index()),
        fetcher_(launch, pass_shift, warp_),
        x_(x, launch.m),
        share_(static_cast<int>(threadIdx.x % 32)) {
    const auto ring = static_cast<uint32_t>(__cvta_generic_to_shared(shared)) +
                      static_cast<uint32_t>(warp_ * K::kRingBytes);
    begin_ = at_hand_ = __shfl_sync(0xFFFFFFFFu, ring, 0);
    before_ = begin_ + (K::kStages - 1) * F::kStageBytes;
    sums_ = reinterpret_cast<float*>(shared + K::kWarps * K::kRingBytes) + warp_ * K::kSumFloats;
  }

  // All stages of the ring but the last.
  __device__ void fill_ring() {
#pragma unroll 1
    for (int s = 0; s + 1 < K::kStages; ++s) {
      fetcher_.fetch(begin_ + static_cast<uint32_t>(s) * F::kStageBytes);
    }
  }

  // The sums of a unit's slices of this warp, left in shared memory.
  __device__ void sum_unit(Unit unit) {
    const LaunchTask& task = launch_.tasks[unit.task];
    const int blocks_of_part = task.columns / 32;
    const int x_rows = min(K::kRows, launch_.m - unit.pass * K::kRows);
    const auto first_block = [&] {
      return task.cut_by_columns ? launch_.places[unit.part] * blocks_of_part : 0;
    };
    x_.enter_unit(unit.pass);
    x_.go_to(first_block() + unit.within * F::kStageBlocks);
    LaneSums<N> sums = {};
    bool second_slice = false;
    XBlock<F, N> at_hand = {};
    if (unit.begin < unit.end) at_hand = x_.read();
#pragma unroll 1
    for (int stage = unit.begin; stage < unit.end; ++stage) {
      if (K::kSlicesOfWarp == 2 && stage == unit.middle) {
        store_sums<F, N>(sums, share_, x_rows, false, sums_);
        for (auto& of_tile : sums) {
          for (auto& of_row : of_tile) of_row[0] = of_row[1] = 0;
        }
        second_slice = true;
      }
      asm volatile("cp.async.wait_group %0;" ::"n"(K::kStages - 2) : "memory");
      __syncwarp();  // the stage is there for all lanes, and all are done with the one before
      fetcher_.fetch(before_);
      const bool whole =
          F::kStageBlocks == 1 || (unit.within + 1) * F::kStageBlocks <= blocks_of_part;
      if (++unit.within == unit.stages_of_part && stage + 1 < unit.end) {
        unit.within = 0, ++unit.part;
      }
#pragma unroll
      for (int j = 0; j < F::kStageBlocks; ++j) {
        // x is read a block ahead; behind the last one, in vain.
        if (j + 1 == F::kStageBlocks && unit.within == 0) x_.go_to(first_block());
        const XBlock<F, N> next = x_.read();
        if (j == 0 || whole) multiply_block<F, N>(at_hand_, j, share_, at_hand, sums);
        at_hand = next;
      }
      before_ = at_hand_;
      at_hand_ += F::kStageBytes;
      if (at_hand_ == begin_ + K::kRingBytes) at_hand_ = begin_;
    }
    store_sums<F, N>(sums, share_, x_rows, second_slice, sums_);
  }

  __device__ int warp() const {
    return warp_;
  }

 private:
  const Launch& launch_;
  int warp_;
  Fetcher<F, N> fetcher_;
  XReader<F, N> x_;
  LaneShare<F> share_;
  // The warp's ring: where it begins, the stage at hand, and the one before, to be filled again.
  uint32_t begin_, at_hand_, before_;
  float* sums_;
};

template <class F, int N>
__global__ void __launch_bounds__(FewRows<F, N>::kThreads, FewRows<F, N>::kBlocksOfSm)
    few_rows_kernel(const __grid_constant__ FewRowsInput x, const __grid_constant__ Launch launch) {
  using K = FewRows<F, N>;
  extern __shared__ __align__(128) uint8_t shared[];
  let_next_kernel_start();
  const int pass_shift = pass_shift_of<N>(launch.m);
  Worker<F, N> worker(launch, x, pass_shift, shared);
  worker.fill_ring();
  wait_for_previous_kernel();  // it makes x; weights are nobody's output
#pragma unroll 1
  for (int index = static_cast<int>(blockIdx.x); index < launch.units << pass_shift;
       index += static_cast<int>(gridDim.x)) {
    const Unit unit = unit_of<F, N>(launch, pass_shift, worker.warp(), index);
    worker.sum_unit(unit);
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
  const int units = launch.units << pass_shift_of<N>(launch.m);
  const int grid = std::min(units, gpu.facts().multiprocessors * K::kBlocksOfSm);
  launch_overlapped(gpu, few_rows_kernel<F, N>, dim3(static_cast<unsigned>(grid)),
                    dim3(K::kThreads), K::kSharedBytes, x, launch);
}

template <class F>
void launch_few_rows(Gpu& gpu, const Launch& launch, const FewRowsInput& x) {
  if (launch.m <= 8) return launch_few_rows_of<F, 1>(gpu, launch, x);
  // Twice 16 rows keep twice as many warps busy where there are few weight rows.
  const bool small = launch.m <= 32 && launch.units <= gpu.facts().multiprocessors;
  if (launch.m <= 16 || small) return launch_few_rows_of<F, 2>(gpu, launch, x);
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
