// The layers' source, compiled once for each executor (layers.cc, layers_gpu.cc).
#pragma once

#include <cmath>

#include "models/layers.h"
#include "ops/attend.h"
#include "ops/prepare.h"

namespace shoehorn {

// The same rows seen as heads: [m, heads, d].
inline Tensor by_head(const Tensor& rows, int64_t heads, int64_t head_dim) {
  return {rows.data, rows.dtype, 3, {rows.rows(), heads, head_dim}, {rows.strides[0], head_dim, 1}};
}

template <typename Executor>
PreparedRows<Executor> norm_rows(const StepContext<Executor>& step, const Tensor& x,
                                 const float* weight, const Tensor& normed) {
  const auto epsilon = static_cast<float>(step.config.rms_norm_eps);
  return norm_and_prepare(step.executor, x, {.weight = weight, .epsilon = epsilon}, normed,
                          step.work.activation_scratch, step.precision);
}

template <typename Executor>
void attention_gqa(const StepContext<Executor>& step, const AttentionWeights& weights,
                   const KvLayer& cache, const Tensor& x) {
  const ModelConfig& config = step.config;
  Workspace& work = step.work;
  const int64_t m = x.rows();
  const Tensor q = work.query.slice(0, m), k = work.key.slice(0, m), v = work.value.slice(0, m);

  const auto normed = norm_rows(step, x, weights.norm, work.normed.slice(0, m));
  linear(step.executor, normed,
         {{.weight = &weights.query, .bias = weights.query_bias, .output = q},
          {.weight = &weights.key, .bias = weights.key_bias, .output = k},
          {.weight = &weights.value, .bias = weights.value_bias, .output = v}});

  const Tensor q_heads = by_head(q, config.num_attention_heads, config.head_dim);
  const Tensor attended =
      by_head(work.attended.slice(0, m), config.num_attention_heads, config.head_dim);
  const auto heads = attend_and_prepare(
      step.executor, cache,
      {.rope = {.q = q_heads,
                .k = by_head(k, config.num_key_value_heads, config.head_dim),
                .v = by_head(v, config.num_key_value_heads, config.head_dim),
                .cosines = work.cosines.slice(0, m),
                .sines = work.sines.slice(0, m),
                .pairing = config.rope_layout == RopeLayout::half ? RopePairing::half
                                                                  : RopePairing::interleaved},
       .out = attended,
       .scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim))},
      step.spans, {.attention = work.attention_scratch, .activations = work.activation_scratch},
      step.precision);
  linear(step.executor, heads,
         {{.weight = &weights.output,
           .bias = weights.output_bias,
           .output = x,
           .mode = OutputMode::add}});
}

template <typename Executor>
PreparedRows<Executor> feed_forward_norm(const StepContext<Executor>& step, const float* norm,
                                         const Tensor& x) {
  return norm_rows(step, x, norm, step.work.normed.slice(0, x.rows()));
}

template <typename Executor>
void neuron_groups(const StepContext<Executor>& step, const PreparedRows<Executor>& n,
                   const GroupTable& table, GroupRange range, const GroupOutput& output) {
  const int64_t m = n.values.rows();
  const int64_t width = (range.end - range.begin) * table.neurons();
  const Tensor gate = step.work.neurons(step.work.gate, m, width);
  const Tensor up = step.work.neurons(step.work.up, m, width);

  const RowPartsTask tasks[] = {{.weight = table.gate(range.begin, range.end), .output = gate},
                                {.weight = table.up(range.begin, range.end), .output = up}};
  linear_row_parts(step.executor, n, tasks);
  const auto active =
      swiglu_and_prepare(step.executor, gate, up, gate, step.work.neuron_scratch, step.precision);
  linear_column_parts(step.executor, active, table.down(range.begin, range.end), output.tensor,
                      output.mode);
}

template <typename Executor>
Tensor head(const StepContext<Executor>& step, const HeadWeights& weights, const Tensor& picked) {
  const auto normed = norm_rows(step, picked, weights.norm, picked);
  const Tensor logits = step.work.logits.slice(0, picked.rows());
  linear(step.executor, normed, {{.weight = &weights.output, .output = logits}});
  return logits;
}

}  // namespace shoehorn
