// What a layer computes: embedding, grouped-query attention, dense SwiGLU feed-forward, head. A
// layer takes its weights as values and never asks where they came from; the caller owns the loop
// over layers.
#pragma once

#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "formats/model_config.h"
#include "models/layout.h"
#include "models/workspace.h"
#include "ops/attention.h"
#include "ops/linear.h"
#include "ops/rope.h"

namespace shoehorn {

struct AttentionWeights {
  const float* norm;         // [h]
  Weight query, key, value;  // [H*d, h], [K*d, h], [K*d, h]
  Weight output;             // [h, H*d]
  const float* query_bias;   // [H*d] or null, as the next two
  const float* key_bias;
  const float* value_bias;
  const float* output_bias;  // [h] or null
  static AttentionWeights bind(const BlockLayout& block, const std::byte* base);
};

struct FeedForwardWeights {
  const float* norm;  // [h]
  Weight gate, up;    // [f, h]
  Weight down;        // [h, f]
  static FeedForwardWeights bind(const BlockLayout& block, const std::byte* base);
};

struct HeadWeights {
  const float* norm;  // [h]
  Weight output;      // [V, h]; a tied model's embedding
};

// What the layers of one step share.
struct StepContext {
  ThreadPool& pool;
  const ModelConfig& config;
  Workspace& work;
  Precision precision;
  std::span<const AttentionSpan> spans;  // the step's rows, sequence by sequence
};

// x[i] = embedding of tokens[i]; x: [m, h].
void embed(const StepContext& step, const Weight& table, std::span<const int32_t> tokens,
           const Tensor& x);

// Fills the workspace's cosines and sines for the step's rows; once a step, for all layers.
void prepare_rope(const StepContext& step, const RopeTable& table,
                  std::span<const int32_t> positions);

// x += attention(RMSNorm(x)); appends the rows' keys and values to the cache. x: [m, h].
void attention_gqa(const StepContext& step, const AttentionWeights& weights, const KvLayer& cache,
                   const Tensor& x);

// x += down(silu(gate(n)) * up(n)), n = RMSNorm(x). x: [m, h].
void feed_forward(const StepContext& step, const FeedForwardWeights& weights, const Tensor& x);

// Logits of the given rows of x, at most max_logit_rows of them. Result: [rows, V], in the
// workspace.
Tensor head(const StepContext& step, const HeadWeights& weights, const Tensor& x,
            std::span<const int64_t> rows);

// The frequencies of a model, with its scaling. `divisors`: GGUF's rope_freqs.weight [d/2], or
// empty.
RopeTable model_rope_table(const ModelConfig& config, std::span<const float> divisors);

}  // namespace shoehorn
