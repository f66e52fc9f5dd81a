// Attention for many rows of a span: prefill. FlashAttention-2 (Dao 2023) over a paged cache.
//
// Bound by products: a tile of keys and values is used by 64 or 128 query rows. Grid: (rows of a
// span, query head, span), the rows with the longest contexts first; 4 warps walk the context in
// tiles of 64 tokens at fixed positions. A warp has 16 or 32 rows: 32 use every key and value that
// is read from shared memory twice, which is what large steps are bound by; 16 make blocks enough
// where there are few rows and heads. Scores become the left fragments of the second product
// without leaving registers. Shared memory holds the block's queries and one tile each of keys and
// values (64 or 48 KB for heads of 128), so that two or more blocks fit a multiprocessor and one
// block's soft-max runs beside another's products. The next keys are copied behind the soft-max and
// the second product, the values behind the first.
//
// q and the probabilities are rounded to the cache's type; sums are floats. Rows do not see each
// other and tiles begin at fixed positions: a row's bits depend on its own sequence and position.
#include <algorithm>

#include "base/cuda_check.h"
#include "ops/cuda/attention_device.cuh"
#include "ops/cuda/attention_kernels.h"

namespace shoehorn {
namespace {

using namespace attention_device;

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr int kTokens = 64;
constexpr int kFragmentRows = 16;
// Rows of a block whose warps have kRowTiles times 16.
template <int kRowTiles>
constexpr int kBlockRows = kFragmentRows* kRowTiles* kWarps;

// Rows g and g + 8 of 16 of the warp's; a lane has columns 2t, 2t+1 of each eight.
template <int kDim>
struct Running {
  float maxima[2] = {kMinusInfinity, kMinusInfinity};
  float sums[2] = {0, 0};  // of this lane's tokens
  float out[kDim / 8][4] = {};
};
using Scores = float[kTokens / 8][4];

// The block's rows, rounded, as a tile [kRows, kDim]; rows beyond the span are zeros.
template <typename T, int kDim, int kRows>
__device__ void load_queries(const AttentionStep& step, const AttentionSpan& span, int first_row,
                             uint4* queries) {
  constexpr int kUnits = kDim / 8;
  constexpr float kLargest = Numbers<T>::kLargest;
#pragma unroll 4
  for (int i = threadIdx.x; i < kRows * kUnits; i += kThreads) {
    const int row = i / kUnits, unit = i % kUnits;
    uint32_t packed[4] = {};
    if (first_row + row < span.row_count) {
      const auto* q = reinterpret_cast<const float2*>(
          step.q + (span.first_row + first_row + row) * step.q_row_stride +
          static_cast<int64_t>(blockIdx.y) * step.q_head_stride + unit * 8);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        // No infinities, whose product with 0 would be no number.
        packed[j] = Numbers<T>::pack(fminf(fmaxf(q[j].x, -kLargest), kLargest),
                                     fminf(fmaxf(q[j].y, -kLargest), kLargest));
      }
    }
    queries[row * kUnits + (unit ^ (row & 7))] = {packed[0], packed[1], packed[2], packed[3]};
  }
}

// A tile of keys or values. offsets: of every kCopyTokens-th token in the cache; there: how many
// tokens of the tile there are.
template <int kUnits>
__device__ void load_tile(uint4* tile, const std::byte* plane, const int64_t* offsets, int there) {
#pragma unroll
  for (int token = 0; token < kTokens; token += kCopyTokens) {
    load_rows<kUnits, kThreads, kCopyTokens>(
        tile + token * kUnits, plane + offsets[token / kCopyTokens], threadIdx.x, there - token);
  }
  end_copy_group();
}

// queries: the warp's rows.
template <typename T, int kDim, int kRowTiles>
__device__ void multiply_keys(const uint4* queries, const uint4* keys,
                              Scores (&scores)[kRowTiles]) {
  constexpr unsigned kRowBytes = 2 * kDim;
  const unsigned query = renewed(value_address<kDim / 8>(queries));
  const unsigned key = renewed(key_address<kDim / 8>(keys));
#pragma unroll
  for (int step = 0; step < kDim / 16; ++step) {
    uint32_t a[kRowTiles][4];
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
      load_matrices(a[m], (query ^ 32 * step) + m * 16 * kRowBytes);
    }
#pragma unroll
    for (int pair = 0; pair < kTokens / 16; ++pair) {
      uint32_t b[4];
      load_matrices(b, (key ^ 32 * step) + pair * 16 * kRowBytes);
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        Numbers<T>::multiply(scores[m][2 * pair], a[m], b[0], b[1]);
        Numbers<T>::multiply(scores[m][2 * pair + 1], a[m], b[2], b[3]);
      }
    }
  }
}

// Tokens after a row's own are not seen. first_unseen: the first of those of row g, in the tile.
__device__ void mask(Scores& scores, int first_unseen) {
  const int t = threadIdx.x % 4;
#pragma unroll
  for (int n = 0; n < kTokens / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (8 * n + 2 * t + i % 2 >= first_unseen + i / 2 * 8) scores[n][i] = kMinusInfinity;
    }
  }
}

// Scores become probabilities, times kProbabilityUnit, relative to the largest score so far.
template <int kDim>
__device__ void soft_max(Scores& scores, float log2_scale, Running<kDim>& running) {
  float shrink[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float maximum = running.maxima[half];
#pragma unroll
    for (int n = 0; n < kTokens / 8; ++n) {
      maximum = fmaxf(maximum, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
    }
    maximum = quad_maximum(maximum);
    shrink[half] = fast_exp2((running.maxima[half] - maximum) * log2_scale);
    running.maxima[half] = maximum;
    float sum = 0;
#pragma unroll
    for (int n = 0; n < kTokens / 8; ++n) {
#pragma unroll
      for (int i = 2 * half; i < 2 * half + 2; ++i) {
        scores[n][i] = fast_exp2(fmaf(scores[n][i] - maximum, log2_scale, kLog2ProbabilityUnit));
        sum += scores[n][i];
      }
    }
    running.sums[half] = fmaf(running.sums[half], shrink[half], sum);
  }
  // After the first tiles maxima seldom change.
  if (!__any_sync(kWholeWarp, shrink[0] != 1.0f || shrink[1] != 1.0f)) return;
#pragma unroll
  for (auto& d : running.out) {
#pragma unroll
    for (int i = 0; i < 4; ++i) d[i] *= shrink[i / 2];
  }
}

template <typename T, int kDim, int kRowTiles>
__device__ void multiply_values(const Scores (&probabilities)[kRowTiles], const uint4* values,
                                Running<kDim> (&running)[kRowTiles]) {
  constexpr unsigned kRowBytes = 2 * kDim;
  const unsigned value = renewed(value_address<kDim / 8>(values));
#pragma unroll
  for (int step = 0; step < kTokens / 16; ++step) {
    uint32_t a[kRowTiles][4];
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* p = probabilities[m][2 * step + i / 2] + i % 2 * 2;
        a[m][i] = Numbers<T>::pack(p[0], p[1]);
      }
    }
#pragma unroll
    for (int pair = 0; pair < kDim / 16; ++pair) {
      uint32_t b[4];
      load_transposed(b, (value ^ 32 * pair) + step * 16 * kRowBytes);
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        Numbers<T>::multiply(running[m].out[2 * pair], a[m], b[0], b[1]);
        Numbers<T>::multiply(running[m].out[2 * pair + 1], a[m], b[2], b[3]);
      }
    }
  }
}

template <int kDim>
__device__ void store(const AttentionStep& step, const AttentionSpan& span, int row,
                      const Running<kDim>& running) {
  const auto head = static_cast<int>(blockIdx.y);
  const int t = threadIdx.x % 4;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float factor = 1.0f / quad_sum(running.sums[half]);
    if (row + 8 * half >= span.row_count) continue;
    float* out = step.out + (span.first_row + row + 8 * half) * step.out_row_stride +
                 head * step.out_head_stride + 2 * t;
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
      const float* d = running.out[n] + 2 * half;
      *reinterpret_cast<float2*>(out + 8 * n) = {d[0] * factor, d[1] * factor};
    }
  }
}

template <typename T, int kDim, int kRowTiles>
__global__ void __launch_bounds__(kThreads, 4 / kRowTiles)
    many_rows_kernel(const AttentionStep step) {
  constexpr int kUnits = kDim / 8, kRows = kBlockRows<kRowTiles>;
  extern __shared__ __align__(256) uint4 tiles[];
  uint4* keys = tiles;
  uint4* values = keys + kTokens * kUnits;
  uint4* queries = values + kTokens * kUnits;
  __shared__ int64_t offsets[2][kTokens / kCopyTokens];  // in this tile and in the next one
  const AttentionSpan span = step.spans[blockIdx.z];
  const int first_row = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kRows;
  if (first_row >= span.row_count) return;
  const int row_end = min(first_row + kRows, static_cast<int>(span.row_count));
  const int token_end = static_cast<int>(span.first_position) + row_end;
  const KvLayer& layer = step.layer;
  const int kv_head = static_cast<int>(blockIdx.y) / step.group;
  const std::byte* key_plane = layer.data + plane_offset(layer, kv_head, sizeof(T));
  const std::byte* value_plane =
      layer.data + plane_offset(layer, static_cast<int>(layer.kv_heads) + kv_head, sizeof(T));
  const auto find_tokens = [&](int tile) {
    if (threadIdx.x >= kTokens / kCopyTokens) return;
    const int token = tile * kTokens + static_cast<int>(threadIdx.x) * kCopyTokens;
    offsets[tile % 2][threadIdx.x] =
        token < token_end ? token_offset(layer, span.pages, token, sizeof(T)) : 0;
  };
  const auto load = [&](uint4* to, const std::byte* plane, int tile) {
    load_tile<kUnits>(to, plane, offsets[tile % 2], token_end - tile * kTokens);
  };
  find_tokens(0);
  __syncthreads();
  load(keys, key_plane, 0);

  load_queries<T, kDim, kRows>(step, span, first_row, queries);
  const int lane = threadIdx.x % 32;
  const int warp_row = static_cast<int>(threadIdx.x) / 32 * kFragmentRows * kRowTiles;
  const int warp_position = static_cast<int>(span.first_position) + first_row + warp_row;
  Running<kDim> running[kRowTiles];
  const int tiles_end = (token_end + kTokens - 1) / kTokens;
  for (int tile = 0; tile < tiles_end; ++tile) {
    wait_copy_groups<0>();
    __syncthreads();  // keys are there; every warp is done with the last values
    load(values, value_plane, tile);
    if (tile + 1 < tiles_end) find_tokens(tile + 1);
    Scores scores[kRowTiles] = {};
    multiply_keys<T, kDim, kRowTiles>(queries + warp_row * kUnits, keys, scores);
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) {
      const int position = warp_position + kFragmentRows * m;
      if ((tile + 1) * kTokens > position + 1) {
        mask(scores[m], position + lane / 4 + 1 - tile * kTokens);
      }
      soft_max<kDim>(scores[m], step.log2_scale, running[m]);
    }
    wait_copy_groups<0>();
    __syncthreads();  // values are there, the next tokens are found; every warp is done with keys
    if (tile + 1 < tiles_end) load(keys, key_plane, tile + 1);
    multiply_values<T, kDim, kRowTiles>(scores, values, running);
  }
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
    store<kDim>(step, span, first_row + warp_row + kFragmentRows * m + lane / 4, running[m]);
  }
}

template <typename T, int kDim, int kRowTiles>
void launch(cudaStream_t stream, const AttentionStep& step, const GpuSpans& spans) {
  constexpr int kRows = kBlockRows<kRowTiles>;
  constexpr int kTileBytes = (2 * kTokens + kRows) * kDim * static_cast<int>(sizeof(T));
  const auto kernel = many_rows_kernel<T, kDim, kRowTiles>;
  CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kTileBytes));
  const dim3 grid(static_cast<unsigned>((spans.max_row_count + kRows - 1) / kRows), step.heads,
                  static_cast<unsigned>(spans.count));
  kernel<<<grid, kThreads, kTileBytes, stream>>>(step);
  CUDA_CHECK(cudaGetLastError());
}

template <typename T>
void launch_type(Gpu& gpu, const AttentionStep& step, const GpuSpans& spans) {
  // Large blocks where there are three for every two multiprocessors.
  const int64_t large_blocks =
      (spans.max_row_count + kBlockRows<2> - 1) / kBlockRows<2> * step.heads * spans.count;
  const bool large = 2 * large_blocks >= int64_t{3} * gpu.facts().multiprocessors;
  if (step.layer.head_dim == 64) {
    large ? launch<T, 64, 2>(gpu.stream(), step, spans)
          : launch<T, 64, 1>(gpu.stream(), step, spans);
  } else {
    large ? launch<T, 128, 2>(gpu.stream(), step, spans)
          : launch<T, 128, 1>(gpu.stream(), step, spans);
  }
}

}  // namespace

void attend_many_rows(Gpu& gpu, const AttentionStep& step, const GpuSpans& spans) {
  step.layer.dtype == DType::f16 ? launch_type<__half>(gpu, step, spans)
                                 : launch_type<__nv_bfloat16>(gpu, step, spans);
}

}  // namespace shoehorn
