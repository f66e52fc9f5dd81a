// Causal grouped-query attention (Vaswani et al. 2017; Ainslie et al. 2023) over a paged KV cache
// (Kwon et al. 2023): out_a = sum over s <= position of softmax(scale * q_a . k_s) v_s, query head
// a reads key head a / (H / KV).
//
// A layer's cache is an array of pages. A page holds `page_tokens` tokens of one layer: keys
// [KV][page_tokens][d], then values [KV][page_tokens][d], f32, f16 or bf16 (rounded to nearest even
// when written). Token t of a sequence lies in page pages[t / page_tokens] at slot t % page_tokens.
//
// Sums run over chunks of kAttentionChunk context tokens; a row's result depends on its own
// sequence and position alone, not on the batch or the thread count.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "ops/cost.h"
#include "ops/gpu.h"
#include "ops/rope.h"
#include "tensor/tensor.h"

namespace shoehorn {

inline constexpr int64_t kAttentionChunk = 256;

// One layer of the KV cache.
struct KvLayer {
  std::byte* data = nullptr;  // page p begins at data + p * page_stride_bytes, 64-byte aligned
  int64_t page_stride_bytes = 0;
  DType dtype = DType::f16;  // f32, f16 or bf16
  int64_t page_tokens = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;

  int64_t page_bytes() const { return 2 * kv_heads * page_tokens * head_dim * size_bytes(dtype); }
};

// Consecutive rows of a step that belong to one sequence: row first_row + i is its token
// first_position + i.
struct AttentionSpan {
  int64_t first_row = 0;
  int64_t row_count = 0;
  int64_t first_position = 0;
  const int32_t* pages = nullptr;  // page table, covering first_position + row_count tokens
};

// Writes k and v, each [m, KV, d] f32, of all spans into the cache.
void kv_append(ThreadPool& pool, const KvLayer& layer, const Tensor& k, const Tensor& v,
               std::span<const AttentionSpan> spans);

// q, out: [m, H, d] f32; the spans' own k and v are already in the cache. scratch:
// attention_scratch_bytes(pool.thread_count(), ...) bytes, 64-byte aligned.
struct AttentionArguments {
  Tensor q;
  Tensor out;
  float scale = 1;  // on q . k; usually head_dim^-0.5
};
void attention(ThreadPool& pool, const KvLayer& layer, const AttentionArguments& arguments,
               std::span<const AttentionSpan> spans, std::span<std::byte> scratch);

// On a card: the spans of a step and their page tables, uploaded once for all its layers.
struct GpuSpans {
  const AttentionSpan* spans = nullptr;  // [count] on the card; `pages` too point to the card
  int64_t count = 0;
  const int32_t* row_spans = nullptr;  // [rows] on the card: the span of each row
  int64_t rows = 0;
  int64_t max_row_count = 0;  // of one span
  int64_t max_context = 0;    // largest first_position + row_count
};

// Turns q and k in place (ops/rope.h) and writes k and v into the cache, in one pass. q: [m, H, d],
// k, v: [m, KV, d] f32; cosines, sines: [m, n/2].
struct RopeAppendArguments {
  Tensor q, k, v;
  Tensor cosines, sines;
  RopePairing pairing = RopePairing::half;
};
void rope_and_append(ThreadPool& pool, const KvLayer& layer, const RopeAppendArguments& arguments,
                     std::span<const AttentionSpan> spans);
void rope_and_append(Gpu& gpu, const KvLayer& layer, const RopeAppendArguments& arguments,
                     const GpuSpans& spans);

// scratch: gpu_attention_scratch_bytes(...), 256-byte aligned; heads of q and out begin at
// multiples of 8 bytes; scale > 0; head_dim <= 256. f16 and bf16 caches with heads of 64 or 128 and
// pages of a multiple of 16 tokens are read at the card's speed, others by a plain kernel in float.
//
// Steps of up to kFewRows rows, or of short spans alone, split their contexts over the card;
// queries and probabilities have twice the bits of the cache's type (f16: 22, bf16: 16). Steps of
// more rows round both to the cache's type. In either kind a row's bits depend on its own sequence
// and position alone.
void attention(Gpu& gpu, const KvLayer& layer, const AttentionArguments& arguments,
               const GpuSpans& spans, std::span<std::byte> scratch);
// Grows with rows and context to at most 1024 * heads * (head_dim + 2) * 4.
int64_t gpu_attention_scratch_bytes(int64_t rows, int64_t heads, int64_t head_dim,
                                    int64_t max_context);

// Scratch for m rows of `heads` query heads whose contexts are at most max_context tokens.
int64_t attention_scratch_bytes(int thread_count, int64_t m, int64_t heads, int64_t head_dim,
                                int64_t max_context);

// One row at position p reads (p + 1) keys and values a KV head, once for all query heads of the
// group.
Cost attention_cost(const KvLayer& layer, int64_t heads, std::span<const AttentionSpan> spans);

}  // namespace shoehorn
