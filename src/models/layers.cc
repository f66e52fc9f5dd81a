#include "models/layers.h"

#include <cmath>
#include <cstring>

#include "ops/embedding.h"
#include "ops/rms_norm.h"
#include "ops/swiglu.h"

namespace shoehorn {
namespace {

// The same rows seen as heads: [m, heads, d].
Tensor by_head(const Tensor& rows, int64_t heads, int64_t head_dim) {
  return {rows.data, rows.dtype, 3, {rows.rows(), heads, head_dim}, {rows.strides[0], head_dim, 1}};
}

ActivationRows norm_and_prepare(const StepContext& step, const Tensor& x, const float* weight) {
  const Tensor normed = step.work.normed.slice(0, x.rows());
  rms_norm(step.pool, x, weight, static_cast<float>(step.config.rms_norm_eps), normed);
  return prepare_activations(step.pool, normed, step.work.activation_scratch, step.precision);
}

RopePairing pairing(const ModelConfig& config) {
  return config.rope_layout == RopeLayout::half ? RopePairing::half : RopePairing::interleaved;
}

}  // namespace

AttentionWeights AttentionWeights::bind(const BlockLayout& block, const std::byte* base) {
  return {.norm = block.vector(TensorRole::attention_norm, base),
          .query = block.weight(TensorRole::query, base),
          .key = block.weight(TensorRole::key, base),
          .value = block.weight(TensorRole::value, base),
          .output = block.weight(TensorRole::attention_output, base),
          .query_bias = block.vector(TensorRole::query_bias, base),
          .key_bias = block.vector(TensorRole::key_bias, base),
          .value_bias = block.vector(TensorRole::value_bias, base),
          .output_bias = block.vector(TensorRole::attention_output_bias, base)};
}

FeedForwardWeights FeedForwardWeights::bind(const BlockLayout& block, const std::byte* base) {
  return {.norm = block.vector(TensorRole::ffn_norm, base),
          .gate = block.weight(TensorRole::gate, base),
          .up = block.weight(TensorRole::up, base),
          .down = block.weight(TensorRole::down, base)};
}

void embed(const StepContext& step, const Weight& table, std::span<const int32_t> tokens,
           const Tensor& x) {
  embedding(step.pool, table, tokens, x);
}

void prepare_rope(const StepContext& step, const RopeTable& table,
                  std::span<const int32_t> positions) {
  const auto m = static_cast<int64_t>(positions.size());
  rope_angles(step.pool, positions, table, step.work.cosines.slice(0, m),
              step.work.sines.slice(0, m));
}

void attention_gqa(const StepContext& step, const AttentionWeights& weights, const KvLayer& cache,
                   const Tensor& x) {
  const ModelConfig& config = step.config;
  Workspace& work = step.work;
  const int64_t m = x.rows();
  const Tensor q = work.query.slice(0, m), k = work.key.slice(0, m), v = work.value.slice(0, m);

  const ActivationRows normed = norm_and_prepare(step, x, weights.norm);
  linear(step.pool, normed,
         {{.weight = &weights.query, .bias = weights.query_bias, .output = q},
          {.weight = &weights.key, .bias = weights.key_bias, .output = k},
          {.weight = &weights.value, .bias = weights.value_bias, .output = v}});

  const Tensor q_heads = by_head(q, config.num_attention_heads, config.head_dim);
  const Tensor k_heads = by_head(k, config.num_key_value_heads, config.head_dim);
  const Tensor v_heads = by_head(v, config.num_key_value_heads, config.head_dim);
  const Tensor cosines = work.cosines.slice(0, m), sines = work.sines.slice(0, m);
  rope(step.pool, q_heads, cosines, sines, pairing(config));
  rope(step.pool, k_heads, cosines, sines, pairing(config));
  kv_append(step.pool, cache, k_heads, v_heads, step.spans);

  const Tensor attended = work.attended.slice(0, m);
  const float scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));
  attention(step.pool, cache,
            {.q = q_heads,
             .out = by_head(attended, config.num_attention_heads, config.head_dim),
             .scale = scale},
            step.spans, work.attention_scratch);

  const ActivationRows heads =
      prepare_activations(step.pool, attended, work.activation_scratch, step.precision);
  linear(step.pool, heads,
         {{.weight = &weights.output,
           .bias = weights.output_bias,
           .output = x,
           .mode = OutputMode::add}});
}

void feed_forward(const StepContext& step, const FeedForwardWeights& weights, const Tensor& x) {
  Workspace& work = step.work;
  const int64_t m = x.rows();
  const Tensor gate = work.gate.slice(0, m), up = work.up.slice(0, m);

  const ActivationRows normed = norm_and_prepare(step, x, weights.norm);
  linear(step.pool, normed,
         {{.weight = &weights.gate, .output = gate}, {.weight = &weights.up, .output = up}});
  swiglu(step.pool, gate, up, gate);
  const ActivationRows active =
      prepare_activations(step.pool, gate, work.activation_scratch, step.precision);
  linear(step.pool, active, {{.weight = &weights.down, .output = x, .mode = OutputMode::add}});
}

Tensor head(const StepContext& step, const HeadWeights& weights, const Tensor& x,
            std::span<const int64_t> rows) {
  Workspace& work = step.work;
  const auto count = static_cast<int64_t>(rows.size());
  const Tensor picked = work.head_rows.slice(0, count);
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(picked.row<float>(i), x.row<float>(rows[i]),
                static_cast<size_t>(x.columns()) * sizeof(float));
  }
  rms_norm(step.pool, picked, weights.norm, static_cast<float>(step.config.rms_norm_eps), picked);
  const ActivationRows normed =
      prepare_activations(step.pool, picked, work.activation_scratch, step.precision);
  const Tensor logits = work.logits.slice(0, count);
  linear(step.pool, normed, {{.weight = &weights.output, .output = logits}});
  return logits;
}

RopeTable model_rope_table(const ModelConfig& config, std::span<const float> divisors) {
  RopeTable table = rope_table(config.head_dim, config.rope_theta);
  const RopeScaling& scaling = config.rope_scaling;
  switch (scaling.type) {
    case RopeScalingType::none:
      break;
    case RopeScalingType::linear:
      scale_linear(table, scaling.factor);
      break;
    case RopeScalingType::llama3:
      scale_llama3(table,
                   {.factor = scaling.factor,
                    .low_freq_factor = scaling.low_freq_factor,
                    .high_freq_factor = scaling.high_freq_factor,
                    .original_max_position_embeddings = scaling.original_max_position_embeddings});
      break;
    case RopeScalingType::yarn:
      scale_yarn(table,
                 {.factor = scaling.factor,
                  .beta_fast = scaling.beta_fast,
                  .beta_slow = scaling.beta_slow,
                  .original_max_position_embeddings = scaling.original_max_position_embeddings,
                  .theta = config.rope_theta,
                  .magnitude = scaling.attention_factor});
      break;
  }
  if (!divisors.empty()) scale_by_divisors(table, divisors);
  return table;
}

}  // namespace shoehorn
