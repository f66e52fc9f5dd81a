// Attention for few rows: decoding, and verifying some tokens at a time.
//
// Bound by reading the cache once: a row does 2 * group products for each cached number, far below
// what tensor cores do in the time of the read, so what counts is bytes in flight. Grid: (tile of
// rows, tile of query heads of a KV head, piece of the context); 4 warps a block, each on its own
// in chunks of 16 tokens, 64 tokens apart, both its keys and its values under way at any time: a
// block of heads of 128 keeps 32 KB in flight, and four blocks fit a multiprocessor. Neither a
// barrier nor another warp stands between a warp and its next chunk.
//
// Products run on tensor cores (m16n8k16) at nearly the precision of floats: of the 16 rows of the
// left matrix, rows 0..7 are 8 queries (rows x heads that read the same keys) rounded to the
// cache's type, rows 8..15 what the rounding left; the two halves of the result are added. So a
// query, and likewise a probability, has the significant bits of two numbers (f16: 22, bf16: 16);
// keys and values are exact. D's fragment of q k is A's fragment of p v: scores never leave
// registers.
//
// The warps' results are merged in a fixed order, then those of the pieces by a second kernel.
#include <algorithm>

#include "ops/cuda/attention_decode.cuh"
#include "ops/cuda/launch.cuh"

namespace shoehorn {
namespace {

using namespace attention_device;

constexpr int kQueries = 8;
constexpr int kWarpTokens = kCopyTokens;
constexpr int kChunkTokens = kWarpTokens * kWarps;
static_assert(kPieceTokens % kChunkTokens == 0);

// What a block computes beside its piece: for which heads.
struct Tile {
  PieceOfRows piece;
  int kv_head, first_head, head_end;
};
__device__ Tile find_tile(const FewRows& work) {
  Tile tile;
  tile.piece = find_piece(work);
  const auto y = static_cast<int>(blockIdx.y);
  tile.kv_head = y / work.head_tiles;
  tile.first_head = tile.kv_head * work.step.group +
                    ((y - tile.kv_head * work.head_tiles) << work.heads_per_tile_shift);
  tile.head_end = (tile.kv_head + 1) * work.step.group;
  return tile;
}

// Query i of the tile.
struct Query {
  int row = 0, head = 0;
  int limit = 0;  // tokens it sees; 0: there is no such query
};
__device__ Query query_of(const FewRows& work, const Tile& tile, int i) {
  const int row = i >> work.heads_per_tile_shift;
  Query query;
  query.row = tile.piece.first_row + row;
  query.head = tile.first_head + (i & ((1 << work.heads_per_tile_shift) - 1));
  if (row < tile.piece.row_count && query.head < tile.head_end) {
    query.limit = tile.piece.position + row + 1;
  }
  return query;
}

// The A fragments of 16 columns of the queries times what makes scores powers of two: this lane's
// part. Queries that f16 cannot hold are cut off, which leaves their scores huge, but numbers.
template <typename T, bool kDecode>
__device__ uint4 query_fragment(const FewRows& work, const DecodeStep& decode, const Query& query,
                                int column) {
  constexpr float kLargest = Numbers<T>::kLargest;
  const float* q =
      work.step.q + query.row * work.step.q_row_stride + query.head * work.step.q_head_stride;
  column += static_cast<int>(threadIdx.x) % 4 * 2;
  float values[4] = {};
  if (query.limit > 0) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int at = column + i / 2 * 8 + i % 2;
      float x = kDecode ? turned(decode.angles, query.row, q, at) : q[at];
      x *= work.step.log2_scale;
      values[i] = fminf(fmaxf(x, -kLargest), kLargest);
    }
  }
  uint4 fragment;
  split<T>(values[0], values[1], fragment.x, fragment.y);
  split<T>(values[2], values[3], fragment.z, fragment.w);
  return fragment;
}

// A warp's tiles in shared memory and the planes that they are copied from.
template <typename T, int kDim>
struct Tokens {
  static constexpr int kUnits = kDim / 8;
  uint4* keys;    // [kWarpTokens, kUnits]
  uint4* values;  // the same
  const KvLayer& layer;
  const PieceOfRows& piece;
  int kv_head;

  __device__ void load_keys(int64_t offset, int token) const {
    load(keys, offset + plane_offset(layer, kv_head, sizeof(T)), token);
  }
  __device__ void load_values(int64_t offset, int token) const {
    const int plane = static_cast<int>(layer.kv_heads) + kv_head;
    load(values, offset + plane_offset(layer, plane, sizeof(T)), token);
  }
  __device__ int64_t offset_of(int token) const {
    return token_offset(layer, piece.pages, token, sizeof(T));
  }

 private:
  __device__ void load(uint4* tile, int64_t offset, int token) const {
    load_rows<kUnits, 32, kWarpTokens>(tile, layer.data + offset, threadIdx.x % 32,
                                       piece.token_end - token);
    end_copy_group();
  }
};

// A warp's state: the soft-max so far of query lane / 4.
template <int kDim>
struct Running {
  float maximum = kMinusInfinity;
  float sum = 0;                // this lane's tokens
  float out[kDim / 8][4] = {};  // D fragments
};

// scores: D fragments of two times 8 tokens, made A fragments of their probabilities.
template <typename T, int kDim>
__device__ void soft_max(const float (&scores)[2][4], int limit, int token, Running<kDim>& running,
                         uint32_t (&probabilities)[4]) {
  const int t = threadIdx.x % 4;
  float s[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float* d = scores[i / 2];
    const bool seen = token + i / 2 * 8 + 2 * t + i % 2 < limit;
    s[i] = seen ? d[i % 2] + d[i % 2 + 2] : kMinusInfinity;
  }
  const float largest = quad_maximum(fmaxf(fmaxf(s[0], s[1]), fmaxf(s[2], s[3])));
  const float maximum = fmaxf(running.maximum, largest);
  const float shrink = relative_weight(running.maximum, maximum);
#pragma unroll
  for (float& x : s) x = relative_weight(x, maximum) * kProbabilityUnit;
  // Where nothing was seen yet, `out` is zeros.
  const bool shrinks = shrink != 1.0f && running.maximum != kMinusInfinity;
  running.sum = fmaf(running.sum, shrink, (s[0] + s[1]) + (s[2] + s[3]));
  running.maximum = maximum;
  if (__any_sync(kWholeWarp, shrinks)) {
#pragma unroll
    for (auto& d : running.out) {
#pragma unroll
      for (float& x : d) x *= shrink;
    }
  }
  split<T>(s[0], s[1], probabilities[0], probabilities[1]);
  split<T>(s[2], s[3], probabilities[2], probabilities[3]);
}

// The warp's tokens of the piece: token, token + kChunkTokens, ...; the first are under way.
template <typename T, int kDim>
__device__ void walk(const Tokens<T, kDim>& tokens, const uint4 (*queries)[32], int limit,
                     int token, Running<kDim>& running) {
  constexpr int kUnits = kDim / 8;
  const int lane = threadIdx.x % 32, token_end = tokens.piece.token_end;
  for (; token < token_end; token += kChunkTokens) {
    const int next = token + kChunkTokens;
    int64_t offset = 0;
    if (next < token_end) offset = tokens.offset_of(next);
    wait_copy_groups<1>();
    __syncwarp();
    float scores[2][4] = {};
    uint32_t b[4];
    const unsigned key = renewed(key_address<kUnits>(tokens.keys));
#pragma unroll
    for (int step = 0; step < kDim / 16; ++step) {
      const uint4 q = queries[step][lane];
      load_matrices(b, key ^ 32 * step);
      Numbers<T>::multiply(scores[0], {q.x, q.y, q.z, q.w}, b[0], b[1]);
      Numbers<T>::multiply(scores[1], {q.x, q.y, q.z, q.w}, b[2], b[3]);
    }
    __syncwarp();  // every lane has its keys
    next < token_end ? tokens.load_keys(offset, next) : end_copy_group();
    uint32_t p[4];
    soft_max<T, kDim>(scores, limit, token, running, p);
    wait_copy_groups<1>();
    __syncwarp();
    const unsigned value = renewed(value_address<kUnits>(tokens.values));
#pragma unroll
    for (int pair = 0; pair < kDim / 16; ++pair) {
      load_transposed(b, value ^ 32 * pair);
      Numbers<T>::multiply(running.out[2 * pair], p, b[0], b[1]);
      Numbers<T>::multiply(running.out[2 * pair + 1], p, b[2], b[3]);
    }
    __syncwarp();
    next < token_end ? tokens.load_values(offset, next) : end_copy_group();
  }
}

// What the block's warps have found, merged in their order and written.
template <int kDim, bool kDecode>
__device__ void write_tile(const FewRows& work, const DecodeStep& decode, const Tile& tile,
                           Running<kDim>& running, float* merged) {
  constexpr int kStride = kDim + 8;  // of merged rows: 8 g + 2 t lie in different banks
  __shared__ float2 ends[kWarps][kQueries], totals[kQueries];  // maximum and sum
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
  running.sum = quad_sum(running.sum);
  if (t == 0) ends[warp][g] = {running.maximum, running.sum};
  __syncthreads();  // and nobody reads tiles any more
  float2 total = {ends[0][g].x, 0};
#pragma unroll
  for (int w = 1; w < kWarps; ++w) total.x = fmaxf(total.x, ends[w][g].x);
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    total.y = fmaf(relative_weight(ends[w][g].x, total.x), ends[w][g].y, total.y);
  }
  if (warp == 0 && t == 0) totals[g] = total;
  const float weight = relative_weight(running.maximum, total.x);
#pragma unroll
  for (int n = 0; n < kDim / 8; ++n) {
    const float* d = running.out[n];
    *reinterpret_cast<float2*>(merged + (warp * kQueries + g) * kStride + 8 * n + 2 * t) = {
        (d[0] + d[2]) * weight, (d[1] + d[3]) * weight};
  }
  __syncthreads();
  for (int i = threadIdx.x; i < kQueries * kDim / 2; i += kThreads) {
    const int q = i / (kDim / 2), column = i % (kDim / 2) * 2;
    const Query query = query_of(work, tile, q);
    if (query.limit <= tile.piece.first_token) continue;
    float2 sum = {0, 0};
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const auto& part =
          *reinterpret_cast<const float2*>(merged + (w * kQueries + q) * kStride + column);
      sum.x += part.x;
      sum.y += part.y;
    }
    const bool only_piece = query.limit <= kPieceTokens;
    const Destination to = destination(work, query.row, query.head, only_piece, totals[q].y);
    const float2 value = {sum.x * to.factor, sum.y * to.factor};
    *reinterpret_cast<float2*>(to.values + column) = value;
    if (kDecode && only_piece) {  // of all 16 lanes of the query's block of 32 columns
      write_rounded(decode.target, query.row, query.head * kDim + column, value);
    }
    if (column == 0 && !only_piece) {
      work.maxima_and_sums[slot_of(work, query.row, query.head, blockIdx.z)] = totals[q];
    }
  }
}

// kDecode: keys and values of earlier steps are fetched before the kernels that make this step's
// are done; the block whose piece ends with the row's own token puts that into the cache first.
template <typename T, int kDim, bool kDecode>
__global__ void __launch_bounds__(kThreads, 4)
    few_rows_kernel(const FewRows work, const DecodeStep decode) {
  constexpr int kTile = kWarpTokens * kDim / 8;
  static_assert(kWarps * kQueries * (kDim + 8) * sizeof(float) <=
                2 * kWarps * kTile * sizeof(uint4));
  __shared__ __align__(256) uint4 tiles[kWarps][2 * kTile];  // keys, values; then merged rows
  __shared__ uint4 queries[kDim / 16][32];                   // A fragments
  if (!kDecode) wait_for_previous_kernel();
  const Tile tile = find_tile(work);
  if (tile.piece.row_count == 0) return;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const Tokens<T, kDim> tokens = {tiles[warp], tiles[warp] + kTile, work.step.layer, tile.piece,
                                  tile.kv_head};
  const int token = tile.piece.first_token + warp * kWarpTokens;
  const auto load_first = [&] {
    const int64_t offset = tokens.offset_of(token);
    tokens.load_keys(offset, token);
    tokens.load_values(offset, token);
  };
  const bool is_old = token + kWarpTokens <= tile.piece.position;
  if (kDecode ? is_old : token < tile.piece.token_end) load_first();
  if (kDecode) wait_for_previous_kernel();
  let_next_kernel_start();
  if (kDecode && tile.piece.token_end > tile.piece.position) {
    append<T, kDim>(work, decode, tile.piece, tile.kv_head);
  }
  const Query query = query_of(work, tile, lane / 4);
#pragma unroll
  for (int step = warp; step < kDim / 16; step += kWarps) {
    queries[step][lane] = query_fragment<T, kDecode>(work, decode, query, 16 * step);
  }
  __syncthreads();
  if (kDecode && !is_old && token < tile.piece.token_end) load_first();
  Running<kDim> running;
  walk<T, kDim>(tokens, queries, query.limit, token, running);
  write_tile<kDim, kDecode>(work, decode, tile, running, reinterpret_cast<float*>(tiles));
}

// Merges the pieces of row x, head y. Warp w takes pieces w, w + 4, ...; the four are added in
// order.
template <bool kDecode>
__global__ void __launch_bounds__(kThreads)
    combine_kernel(const FewRows work, const DecodeStep decode) {
  __shared__ float parts[kWarps][kMaxHeadDim];
  wait_for_previous_kernel();
  let_next_kernel_start();
  const int row = work.first_row + static_cast<int>(blockIdx.x);
  const int head = static_cast<int>(blockIdx.y);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const auto dim = static_cast<int>(work.step.layer.head_dim);
  const int64_t slot = slot_of(work, row, head, 0);
  static_assert(kMaxPiecesShift <= 5);  // lane i has piece i's
  // Read beside the row's position, of slots that may hold nothing of this row.
  float2 end = lane < work.pieces ? work.maxima_and_sums[slot + lane] : float2{0, 0};
  const AttentionSpan& span = work.step.spans[work.step.row_spans[row]];
  const int position = static_cast<int>(span.first_position + row - span.first_row);
  const int pieces = (position >> piece_shift(work, position)) + 1;
  if (pieces == 1) return;
  if (lane >= pieces) end = {kMinusInfinity, 0};
  const float lane_weight = relative_weight(end.x, warp_maximum(end.x));
  const float sum = warp_sum(lane_weight * end.y);
  float total[kMaxHeadDim / 32] = {};
#pragma unroll 4
  for (int piece = warp; piece < pieces; piece += kWarps) {
    const float weight = __shfl_sync(kWholeWarp, lane_weight, piece);
    const float* from = work.weighted + (slot + piece) * dim;
#pragma unroll
    for (int j = 0; j < kMaxHeadDim / 32; ++j) {
      const int i = lane + 32 * j;
      if (i < dim) total[j] = fmaf(weight, from[i], total[j]);
    }
  }
#pragma unroll
  for (int j = 0; j < kMaxHeadDim / 32; ++j) parts[warp][lane + 32 * j] = total[j];
  __syncthreads();
  float* out = work.step.out + row * work.step.out_row_stride + head * work.step.out_head_stride;
  for (int i = threadIdx.x; i < dim; i += kThreads) {
    const float value = ((parts[0][i] + parts[1][i]) + (parts[2][i] + parts[3][i])) / sum;
    out[i] = value;
    if (kDecode) write_rounded(decode.target, row, head * dim + i, value);  // heads of 32 n
  }
}

// Head tiles take up to 8 query heads of a KV head; what is left of the 8 queries are rows.
void cut_tiles(FewRows& work) {
  int heads = 1;
  while (heads < std::min(work.step.group, kQueries)) {
    heads *= 2;
    ++work.heads_per_tile_shift;
  }
  work.rows_per_tile = kQueries / heads;
  work.head_tiles = (work.step.group + heads - 1) / heads;
}

template <typename T, bool kDecode>
void launch_tensor(Gpu& gpu, const FewRows& work, const DecodeStep& decode) {
  const dim3 grid(work.row_end - work.first_row,
                  static_cast<unsigned>(work.step.layer.kv_heads) * work.head_tiles, work.pieces);
  if (work.step.layer.head_dim == 64) {
    launch_overlapped(gpu, few_rows_kernel<T, 64, kDecode>, grid, dim3(kThreads), 0, work, decode);
  } else {
    launch_overlapped(gpu, few_rows_kernel<T, 128, kDecode>, grid, dim3(kThreads), 0, work, decode);
  }
}

template <bool kDecode>
void launch_pieces(Gpu& gpu, FewRows work, const DecodeStep& decode) {
  cut_tiles(work);
  if (work.step.layer.dtype == DType::f16) {
    launch_tensor<__half, kDecode>(gpu, work, decode);
  } else {
    launch_tensor<__nv_bfloat16, kDecode>(gpu, work, decode);
  }
}

}  // namespace

void attend_few_rows(Gpu& gpu, const AttentionStep& step, const GpuSpans& spans,
                     std::span<std::byte> scratch, const DecodeStep* decode) {
  FewRows work;
  work.step = step;
  work.pieces_shift = pieces_shift_of(step.layer.kv_heads);
  work.pieces = static_cast<int>(pieces_of(spans.max_context, work.pieces_shift));
  work.maxima_and_sums = reinterpret_cast<float2*>(scratch.data());
  const PiecesLayout layout(step.rows, step.heads, step.layer.head_dim, spans.max_context);
  work.weighted = reinterpret_cast<float*>(scratch.data() + layout.weighted);
  const int rows = std::min(step.rows, static_cast<int>(kPiecesPerLaunch) / work.pieces);
  for (int first = 0; first < step.rows; first += rows) {
    work.first_row = first;
    work.row_end = std::min(first + rows, step.rows);
    if (!has_tensor_path(step.layer)) {
      launch_any_shape(gpu, work);
    } else if (decode != nullptr) {
      launch_pieces<true>(gpu, work, *decode);
    } else {
      launch_pieces<false>(gpu, work, {});
    }
    if (work.pieces == 1) continue;
    const dim3 grid(static_cast<unsigned>(work.row_end - first), static_cast<unsigned>(step.heads));
    const auto combine = decode != nullptr ? combine_kernel<true> : combine_kernel<false>;
    launch_overlapped(gpu, combine, grid, dim3(kThreads), 0, work,
                      decode != nullptr ? *decode : DecodeStep());
  }
}

}  // namespace shoehorn
