#include "models/layers_body.h"

namespace shoehorn {

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

GroupTable::Matrix::Matrix(const BlockLayout& block, TensorRole role)
    : slot(block.find(role)), offset(0) {
  CHECK(slot != nullptr && slot->parts <= kMaxNeuronGroups, "block of layer {}: role {}",
        block.layer, static_cast<int>(role));
  offset = slot->offset - block.groups.offset;
}

SplitWeight GroupTable::Matrix::split(int64_t begin, int64_t end) const {
  CHECK(0 <= begin && begin < end && end <= slot->parts, "groups [{}, {}) of {}", begin, end,
        slot->parts);
  return {slot->format, slot->part_rows(), slot->part_columns(),
          std::span(parts).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin))};
}

GroupTable::GroupTable(const BlockLayout& block)
    : groups_(block.groups),
      gate_(block, TensorRole::gate),
      up_(block, TensorRole::up),
      down_(block, TensorRole::down) {}

void GroupTable::place(int64_t group, const std::byte* base) {
  for (Matrix* matrix : {&gate_, &up_, &down_}) {
    matrix->parts[group] = base == nullptr ? nullptr : base + matrix->offset;
  }
}

void GroupTable::place_all(const std::byte* base) {
  for (int64_t group = 0; group < groups_.count; ++group) {
    place(group, base + groups_.offset + static_cast<uint64_t>(group) * groups_.stride_bytes);
  }
}

HeadWeights HeadWeights::bind(const ModelLayout& layout, const std::byte* head,
                              const std::byte* embedding) {
  const BlockLayout& block = layout.blocks[layout.head_block()];
  const bool tied = block.find(TensorRole::head) == nullptr;
  return {.norm = block.vector(TensorRole::final_norm, head),
          .output = tied ? layout.blocks[layout.embedding_block()].weight(TensorRole::embedding,
                                                                          embedding)
                         : block.weight(TensorRole::head, head)};
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

template void attention_gqa(const StepContext<ThreadPool>&, const AttentionWeights&, const KvLayer&,
                            const Tensor&);
template PreparedRows<ThreadPool> feed_forward_norm(const StepContext<ThreadPool>&, const float*,
                                                    const Tensor&);
template void neuron_groups(const StepContext<ThreadPool>&, const PreparedRows<ThreadPool>&,
                            const GroupTable&, GroupRange, const GroupOutput&);
template Tensor head(const StepContext<ThreadPool>&, const HeadWeights&, const Tensor&);

}  // namespace shoehorn