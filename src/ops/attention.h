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

// Scratch for m rows of `heads` query heads whose contexts are at most max_context tokens.
int64_t attention_scratch_bytes(int thread_count, int64_t m, int64_t heads, int64_t head_dim,
                                int64_t max_context);

// One row at position p reads (p + 1) keys and values a KV head, once for all query heads of the
// group.
Cost attention_cost(const KvLayer& layer, int64_t heads, std::span<const AttentionSpan> spans);

}  // namespace shoehorn
