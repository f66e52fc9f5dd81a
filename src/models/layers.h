// What a layer computes: grouped-query attention, dense SwiGLU feed-forward by neuron groups, head.
// A layer takes its weights as values and never asks where they came from; the caller owns the loop
// over layers. The same source serves the CPU and the card: ops of one name exist for both.
#pragma once

#include <array>
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

// What belongs to an executor: a step's rows as its ops take them, and rows made ready for linear
// layers.
template <typename Executor>
struct ExecutorTypes;
template <>
struct ExecutorTypes<ThreadPool> {
  using Spans = std::span<const AttentionSpan>;
  using Rows = ActivationRows;
};
template <>
struct ExecutorTypes<Gpu> {
  using Spans = GpuSpans;
  using Rows = GpuActivationRows;
};
template <typename Executor>
using StepSpans = typename ExecutorTypes<Executor>::Spans;
template <typename Executor>
using PreparedRows = typename ExecutorTypes<Executor>::Rows;

struct GroupRange {
  int64_t begin = 0, end = 0;
};
struct GroupOutput {
  Tensor tensor;  // [m, h]
  OutputMode mode = OutputMode::add;
};

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

// Where a feed-forward's neuron groups are. A group that is not here is left out of sums.
class GroupTable {
 public:
  explicit GroupTable(const BlockLayout& block);
  // `base`: the group's first byte, or null: not here.
  void place(int64_t group, const std::byte* base);
  // All groups, in a block that begins at `base`.
  void place_all(const std::byte* base);
  int64_t count() const { return groups_.count; }
  int64_t neurons() const { return groups_.neurons; }

  SplitWeight gate(int64_t begin, int64_t end) const { return gate_.split(begin, end); }
  SplitWeight up(int64_t begin, int64_t end) const { return up_.split(begin, end); }
  SplitWeight down(int64_t begin, int64_t end) const { return down_.split(begin, end); }

 private:
  struct Matrix {
    Matrix(const BlockLayout& block, TensorRole role);
    SplitWeight split(int64_t begin, int64_t end) const;
    const WeightSlot* slot;
    uint64_t offset;  // in a group
    std::array<const std::byte*, kMaxNeuronGroups> parts = {};
  };
  NeuronGroups groups_;
  Matrix gate_, up_, down_;
};

struct HeadWeights {
  const float* norm;  // [h]
  Weight output;      // [V, h]; a tied model's embedding
  // From where the head's and the embedding's block begin; the latter is null where no head is
  // tied.
  static HeadWeights bind(const ModelLayout& layout, const std::byte* head,
                          const std::byte* embedding);
};

// What the layers of one step share. Executor: ThreadPool, or Gpu with everything on the card.
template <typename Executor>
struct StepContext {
  Executor& executor;
  const ModelConfig& config;
  Workspace& work;
  Precision precision;
  StepSpans<Executor> spans;  // the step's rows, sequence by sequence
};

// x += attention(RMSNorm(x)); appends the rows' keys and values to the cache. x: [m, h].
template <typename Executor>
void attention_gqa(const StepContext<Executor>& step, const AttentionWeights& weights,
                   const KvLayer& cache, const Tensor& x);

// n = RMSNorm(x), made ready for neuron groups; n is work.normed.
template <typename Executor>
PreparedRows<Executor> feed_forward_norm(const StepContext<Executor>& step, const float* norm,
                                         const Tensor& x);

// out (+)= down(silu(gate(n)) * up(n)), the sum over the groups [begin, end) that are in the table.
template <typename Executor>
void neuron_groups(const StepContext<Executor>& step, const PreparedRows<Executor>& n,
                   const GroupTable& table, GroupRange range, const GroupOutput& output);

// Logits of rows that are already picked, [rows, h], which are overwritten. Result: [rows, V], in
// the workspace.
template <typename Executor>
Tensor head(const StepContext<Executor>& step, const HeadWeights& weights, const Tensor& picked);

// The frequencies of a model, with its scaling. `divisors`: GGUF's rope_freqs.weight [d/2], or
// empty.
RopeTable model_rope_table(const ModelConfig& config, std::span<const float> divisors);

}  // namespace shoehorn
