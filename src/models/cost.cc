#include "models/cost.h"

#include <vector>

#include "ops/attention.h"
#include "ops/embedding.h"
#include "ops/linear.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/swiglu.h"

namespace shoehorn {
namespace {

Weight weight_of(const WeightSlot& slot) {
  return {slot.format, slot.rows, slot.columns, nullptr};
}

Cost linear_costs(const BlockLayout& block, int64_t m) {
  Cost cost;
  for (const WeightSlot& slot : block.slots) {
    if (slot.rows > 1) cost += linear_cost(weight_of(slot), m);
  }
  return cost;
}

Cost attention_costs(const ModelConfig& config, const StepShape& shape) {
  const KvLayer layer = {.dtype = shape.kv_dtype,
                         .page_tokens = 1,
                         .kv_heads = config.num_key_value_heads,
                         .head_dim = config.head_dim};
  const std::vector<AttentionSpan> spans(
      static_cast<size_t>(shape.sequences),
      AttentionSpan{.row_count = shape.rows_each, .first_position = shape.depth});
  return attention_cost(layer, config.num_attention_heads, spans);
}

}  // namespace

Cost step_cost(const ModelConfig& config, const ModelLayout& layout, const StepShape& shape) {
  const int64_t m = shape.sequences * shape.rows_each;
  const int64_t heads = config.num_attention_heads + config.num_key_value_heads;
  Cost cost;
  for (int64_t layer = 0; layer < layout.layer_count; ++layer) {
    cost += linear_costs(layout.blocks[layout.attention_block(layer)], m);
    cost += linear_costs(layout.blocks[layout.feed_forward_block(layer)], m);
    cost += attention_costs(config, shape);
    cost += rope_cost(m, heads, config.head_dim);
    cost += swiglu_cost(m, config.intermediate_size);
    cost += rms_norm_cost(m, config.hidden_size);
    cost += rms_norm_cost(m, config.hidden_size);
  }
  const WeightSlot& table = layout.blocks[layout.embedding_block()].slots.front();
  cost += embedding_cost(weight_of(table), m);
  cost += rms_norm_cost(shape.sequences, config.hidden_size);
  cost += config.tie_word_embeddings
              ? linear_cost(weight_of(table), shape.sequences)
              : linear_costs(layout.blocks[layout.head_block()], shape.sequences);
  return cost;
}

int64_t parameter_count(const ModelLayout& layout) {
  int64_t count = 0;
  for (const BlockLayout& block : layout.blocks) {
    for (const WeightSlot& slot : block.slots) count += slot.rows * slot.columns;
  }
  return count;
}

}  // namespace shoehorn
