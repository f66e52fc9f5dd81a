// Choosing tokens on a card: one block a row. A row of 100,000 logits is 400 KB out of L2, some
// four microseconds for one multiprocessor each time it is walked: once for greedy, three times for
// a draw, and twice or so for each of top-k and top-p.
//
// top-k and top-p ask for the place in the order of likelihood where a sum (of ones, of weights)
// reaches a number. narrow() splits the range of `steps` that the place is in into eight, walks the
// row for the sum of each, and goes on with the one where the number is reached, until it holds few
// enough tokens to be sorted; a range of equal tokens is walked in the order of ids instead. The
// first split is by octaves, after which a language model's few likely tokens are nearly always
// alone. Sums are of whole numbers, so that none of this shows in the result.
#include "ops/choose.h"

#include <climits>

#include "ops/cuda/launch.cuh"

namespace shoehorn {
namespace {

constexpr int kThreads = 1024;
constexpr int kWarps = kThreads / 32;
constexpr int kRanges = 8;
constexpr unsigned kWholeWarp = 0xFFFFFFFFu;

struct Best {
  float value = -__builtin_inff();
  int index = INT_MAX;
};

struct Shared {
  uint32_t powers[256];
  Best bests[kWarps];
  uint64_t sums[kWarps][kRanges];
  uint32_t counts[kWarps][kRanges];
  uint64_t sum_up_to[kRanges];
  uint32_t count_up_to[kRanges];
  uint64_t sorted[kThreads];  // steps, then token
  uint32_t sorted_count;
  int found;
};

__device__ Best better(Best a, Best b) {
  const bool take_b = b.value > a.value || (b.value == a.value && b.index < a.index);
  return take_b ? b : a;
}

__device__ Best warp_best(Best best) {
  for (int distance = 16; distance > 0; distance /= 2) {
    best = better(best, {__shfl_xor_sync(kWholeWarp, best.value, distance),
                         __shfl_xor_sync(kWholeWarp, best.index, distance)});
  }
  return best;
}

template <typename T>
__device__ T warp_sum(T value) {
  for (int distance = 16; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(kWholeWarp, value, distance);
  }
  return value;
}

// The sum over this lane and those before it.
__device__ uint64_t warp_prefix(uint64_t value) {
  for (int distance = 1; distance < 32; distance *= 2) {
    const uint64_t before = __shfl_up_sync(kWholeWarp, value, distance);
    if (threadIdx.x % 32 >= distance) value += before;
  }
  return value;
}

// The likeliest token, and its logit; the same for every thread.
__device__ Best find_best(const float* logits, int count, Shared& shared) {
  Best best;
#pragma unroll 8
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kThreads) {
    best = better(best, {logits[i], i});
  }
  best = warp_best(best);
  if (threadIdx.x % 32 == 0) shared.bests[threadIdx.x / 32] = best;
  __syncthreads();
  return warp_best(shared.bests[threadIdx.x % 32]);
}

// The last token in the order of likelihood that is kept.
struct Bound {
  uint32_t steps = weights::kMostSteps;
  int token = INT_MAX;
  __device__ bool holds(uint32_t s, int t) const { return s < steps || (s == steps && t <= token); }
};

struct Token {
  uint32_t steps;
  uint64_t weight;  // 0: not kept
};

// A row's tokens as far as they are kept.
struct Row {
  const float* logits;
  int count;
  float top, scale;
  uint64_t least_weight;
  const uint32_t* powers;
  Bound bound;

  __device__ Token operator[](int i) const {
    const uint32_t steps = weights::steps_below(top, logits[i], scale);
    if (steps == weights::kNever || !bound.holds(steps, i)) return {steps, 0};
    const uint64_t weight = weights::weight_of(steps, powers);
    return {steps, weight < least_weight ? 0 : weight};
  }
};

// In the order of ids, the first token with which the sum of value(i) exceeds `target`, which it
// does somewhere; the same for every thread. Each warp has its stretch of ids.
template <typename Value>
__device__ int find_in_order(int count, uint64_t target, Shared& shared, const Value& value) {
  const int warp = static_cast<int>(threadIdx.x / 32), lane = static_cast<int>(threadIdx.x % 32);
  const int stretch = (count + kThreads - 1) / kThreads * 32;
  const int begin = warp * stretch, end = min(begin + stretch, count);
  uint64_t sum = 0;
#pragma unroll 4
  for (int i = begin + lane; i < end; i += 32) sum += value(i);
  sum = warp_sum(sum);
  if (lane == 0) shared.sums[warp][0] = sum;
  __syncthreads();
  const uint64_t up_to_lane = warp_prefix(shared.sums[lane][0]);  // the sum of warps 0..lane
  const unsigned beyond = __ballot_sync(kWholeWarp, up_to_lane > target);
  const int holder = __ffs(static_cast<int>(beyond)) - 1;
  const uint64_t before = __shfl_sync(kWholeWarp, up_to_lane, max(holder - 1, 0));
  if (warp == holder) {
    if (holder > 0) target -= before;
    for (int first = begin; first < end; first += 32) {
      const uint64_t own = first + lane < end ? value(first + lane) : 0;
      const uint64_t up_to = warp_prefix(own);
      const unsigned reached = __ballot_sync(kWholeWarp, up_to > target);
      if (reached != 0) {
        if (lane == 0) shared.found = first + __ffs(static_cast<int>(reached)) - 1;
        break;
      }
      target -= __shfl_sync(kWholeWarp, up_to, 31);
    }
  }
  __syncthreads();
  const int found = shared.found;
  __syncthreads();
  return found;
}

// Where range j of [low, high) begins.
__device__ uint32_t edge(uint32_t low, uint32_t high, int j, bool first) {
  if (!first) return low + static_cast<uint32_t>(uint64_t{high - low} * j / kRanges);
  if (j == 0) return 0;
  return j == kRanges ? high : min(high, weights::kStepsPerOctave / 4 << (j - 1));
}

// sum_up_to[j], count_up_to[j]: of the kept tokens in [low, edge j + 1).
template <bool kWeights>
__device__ void sum_ranges(const Row& row, uint32_t low, const uint32_t (&edges)[kRanges + 1],
                           Shared& shared) {
  uint64_t sums[kRanges] = {};
  uint32_t counts[kRanges] = {};
  for (int i = static_cast<int>(threadIdx.x); i < row.count; i += kThreads) {
    const Token token = row[i];
    if (token.weight == 0 || token.steps < low) continue;
#pragma unroll
    for (int j = 0; j < kRanges; ++j) {
      const bool inside = token.steps < edges[j + 1];
      sums[j] += inside ? (kWeights ? token.weight : 1) : 0;
      counts[j] += inside ? 1 : 0;
    }
  }
#pragma unroll
  for (int j = 0; j < kRanges; ++j) {
    const uint64_t sum = warp_sum(sums[j]);
    const uint32_t count = warp_sum(counts[j]);
    if (threadIdx.x % 32 == 0) {
      shared.sums[threadIdx.x / 32][j] = sum;
      shared.counts[threadIdx.x / 32][j] = count;
    }
  }
  __syncthreads();
  if (threadIdx.x < kRanges) {
    uint64_t sum = 0;
    uint32_t count = 0;
    for (int warp = 0; warp < kWarps; ++warp) {
      sum += shared.sums[warp][threadIdx.x];
      count += shared.counts[warp][threadIdx.x];
    }
    shared.sum_up_to[threadIdx.x] = sum;
    shared.count_up_to[threadIdx.x] = count;
  }
  __syncthreads();
}

// shared.sorted: ascending. Bitonic; places without a token hold the largest number.
__device__ void sort(Shared& shared) {
  const int i = static_cast<int>(threadIdx.x);
  for (int size = 2; size <= kThreads; size *= 2) {
    for (int distance = size / 2; distance > 0; distance /= 2) {
      __syncthreads();
      const int other = i ^ distance;
      if (other > i) {
        const uint64_t a = shared.sorted[i], b = shared.sorted[other];
        if ((a > b) == ((i & size) == 0)) {
          shared.sorted[i] = b;
          shared.sorted[other] = a;
        }
      }
    }
  }
  __syncthreads();
}

// The bound within [low, high), which holds at most kThreads tokens: where the sum reaches `left`.
template <bool kWeights>
__device__ Bound bound_of_few(const Row& row, uint32_t low, uint32_t high, uint64_t left,
                              Shared& shared) {
  const int t = static_cast<int>(threadIdx.x);
  if (t == 0) shared.sorted_count = 0;
  shared.sorted[t] = UINT64_MAX;
  __syncthreads();
  for (int i = t; i < row.count; i += kThreads) {
    const Token token = row[i];
    if (token.weight == 0 || token.steps < low || token.steps >= high) continue;
    shared.sorted[atomicAdd(&shared.sorted_count, 1u)] = uint64_t{token.steps} << 32 | i;
  }
  sort(shared);
  const uint64_t own = shared.sorted[t];
  const auto steps = static_cast<uint32_t>(own >> 32);
  uint64_t value = 0;
  if (own != UINT64_MAX) value = kWeights ? weights::weight_of(steps, row.powers) : 1;
  uint64_t up_to = warp_prefix(value);
  if (t % 32 == 31) shared.sums[t / 32][0] = up_to;
  __syncthreads();
  for (int warp = 0; warp < t / 32; ++warp) up_to += shared.sums[warp][0];
  if (up_to >= left && up_to - value < left) shared.found = t;
  __syncthreads();
  const uint64_t last = shared.sorted[shared.found];
  __syncthreads();
  return {static_cast<uint32_t>(last >> 32), static_cast<int>(last & UINT32_MAX)};
}

// Keeps the fewest tokens, likeliest first, whose sum reaches `wanted` (at least 1): their weights'
// or their number. All, where it does not.
template <bool kWeights>
__device__ void narrow(Row& row, uint64_t wanted, Shared& shared) {
  uint32_t low = 0, high = row.bound.steps + 1;
  for (bool first = true;; first = false) {
    uint32_t edges[kRanges + 1];
#pragma unroll
    for (int j = 0; j <= kRanges; ++j) edges[j] = edge(low, high, j, first);
    sum_ranges<kWeights>(row, low, edges, shared);
    int range = 0;
    while (range < kRanges && shared.sum_up_to[range] < wanted) ++range;
    if (range == kRanges) return;
    uint32_t count = shared.count_up_to[range];
    if (range > 0) {
      wanted -= shared.sum_up_to[range - 1];
      count -= shared.count_up_to[range - 1];
    }
    const uint32_t whole_low = low, whole_high = high;
    low = edge(whole_low, whole_high, range, first);
    high = edge(whole_low, whole_high, range + 1, first);
    __syncthreads();
    if (count <= kThreads) {
      row.bound = bound_of_few<kWeights>(row, low, high, wanted, shared);
      return;
    }
    if (high - low == 1) break;
  }
  const uint64_t each = kWeights ? weights::weight_of(low, row.powers) : 1;
  const uint64_t kept = (wanted + each - 1) / each;
  const int last = find_in_order(row.count, kept - 1, shared, [&](int i) -> uint64_t {
    const Token token = row[i];
    return token.weight != 0 && token.steps == low ? 1 : 0;
  });
  row.bound = {low, last};
}

__device__ int draw(Row& row, const Choice& choice, Shared& shared) {
  if (choice.top_k > 0) narrow<false>(row, static_cast<uint64_t>(choice.top_k), shared);
  const auto weight = [&](int i) { return row[i].weight; };
  const auto total = [&] {
    uint64_t sum = 0;
#pragma unroll 4
    for (int i = static_cast<int>(threadIdx.x); i < row.count; i += kThreads) sum += weight(i);
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) shared.sums[threadIdx.x / 32][0] = sum;
    __syncthreads();
    const uint64_t of_all = warp_sum(shared.sums[threadIdx.x % 32][0]);
    __syncthreads();
    return of_all;
  };
  if (choice.top_p < 1) narrow<true>(row, weights::share_of(total(), choice.top_p), shared);
  const uint64_t target = weights::fraction_of(random_at(choice.seed, choice.draw), total());
  return find_in_order(row.count, target, shared, weight);
}

__global__ void __launch_bounds__(kThreads)
    choose_kernel(float* all_logits, int64_t row_stride, int count, const GpuChoosing choosing,
                  const weights::Powers powers) {
  __shared__ Shared shared;
  const int r = static_cast<int>(blockIdx.x);
  if (threadIdx.x < 256) shared.powers[threadIdx.x] = powers.values[threadIdx.x];
  wait_for_previous_kernel();
  let_next_kernel_start();
  float* logits = all_logits + r * row_stride;
  for (int64_t i = threadIdx.x; i < choosing.masked_count; i += kThreads) {
    logits[choosing.masked[i]] = -__builtin_inff();
  }
  __syncthreads();
  const Choice choice = choosing.choices[r];
  const Best best = find_best(logits, count, shared);
  // Nothing but NaNs or minus infinities: 0, as on the CPU.
  int token = best.index == INT_MAX ? 0 : best.index;
  if (choice.scale != 0 && isfinite(best.value)) {
    Row row = {logits, count, best.value, choice.scale, choice.least_weight, shared.powers, {}};
    token = draw(row, choice, shared);
  }
  __syncthreads();  // everybody has read the choice
  if (threadIdx.x != 0) return;
  choosing.tokens[r] = token;
  if (choosing.sent_tokens) {
    choosing.sent_tokens[(choice.draw % 2) * gridDim.x + r] = token;
  }
  choosing.choices[r].draw = choice.draw + 1;
}

}  // namespace

void choose(Gpu& gpu, const Tensor& logits, const GpuChoosing& choosing) {
  CHECK(logits.rank == 2 && logits.columns() > 0 && logits.columns() < INT_MAX - kThreads,
        "choosing from [{}, {}]", logits.rows(), logits.columns());
  if (logits.rows() == 0) return;
  launch_overlapped(gpu, choose_kernel, dim3(static_cast<unsigned>(logits.rows())), dim3(kThreads),
                    0, logits.row<float>(0), logits.strides[0], static_cast<int>(logits.columns()),
                    choosing, weights::kPowers);
}

}  // namespace shoehorn
