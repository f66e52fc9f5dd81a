#include "models/layout.h"

#include "tensor/repack.h"

namespace shoehorn {
namespace {

constexpr uint64_t kSlotAlignment = 64;
// Blocks begin on pages, so that one can be read from disk or copied to a card by itself.
constexpr uint64_t kBlockAlignment = 4096;

uint64_t round_up(uint64_t value, uint64_t step) {
  return (value + step - 1) / step * step;
}

// Adds slots to one block, asking the checkpoint for each tensor's stored type.
class BlockBuilder {
 public:
  BlockBuilder(const Checkpoint& checkpoint, int64_t layer) : checkpoint_(checkpoint) {
    block_.layer = layer;
  }

  Result<void> matrix(TensorRole role, int64_t rows, int64_t columns) {
    const std::string name = tensor_name(checkpoint_.naming(), role, block_.layer);
    const StoredMatrix stored = TRY(stored_matrix(checkpoint_, name, rows, columns));
    append({role, internal_format(stored.type), rows, columns});
    return {};
  }

  void vector(TensorRole role, int64_t length) { append({role, kF32, 1, length}); }

  BlockLayout take() {
    block_.size_bytes = round_up(block_.size_bytes, kBlockAlignment);
    return std::move(block_);
  }

 private:
  void append(WeightSlot slot) {
    slot.offset = block_.size_bytes;
    block_.size_bytes = round_up(
        slot.offset + static_cast<uint64_t>(size_bytes(slot.format, slot.rows, slot.columns)),
        kSlotAlignment);
    block_.slots.push_back(slot);
  }

  const Checkpoint& checkpoint_;
  BlockLayout block_;
};

Result<BlockLayout> attention_layout(const Checkpoint& checkpoint, int64_t layer) {
  const ModelConfig& config = checkpoint.config();
  const int64_t h = config.hidden_size;
  BlockBuilder block(checkpoint, layer);
  block.vector(TensorRole::attention_norm, h);
  TRY(block.matrix(TensorRole::query, config.query_size(), h));
  TRY(block.matrix(TensorRole::key, config.key_value_size(), h));
  TRY(block.matrix(TensorRole::value, config.key_value_size(), h));
  TRY(block.matrix(TensorRole::attention_output, h, config.query_size()));
  if (config.qkv_bias) {
    block.vector(TensorRole::query_bias, config.query_size());
    block.vector(TensorRole::key_bias, config.key_value_size());
    block.vector(TensorRole::value_bias, config.key_value_size());
  }
  if (config.output_bias) block.vector(TensorRole::attention_output_bias, h);
  return block.take();
}

Result<BlockLayout> feed_forward_layout(const Checkpoint& checkpoint, int64_t layer) {
  const ModelConfig& config = checkpoint.config();
  BlockBuilder block(checkpoint, layer);
  block.vector(TensorRole::ffn_norm, config.hidden_size);
  TRY(block.matrix(TensorRole::gate, config.intermediate_size, config.hidden_size));
  TRY(block.matrix(TensorRole::up, config.intermediate_size, config.hidden_size));
  TRY(block.matrix(TensorRole::down, config.hidden_size, config.intermediate_size));
  return block.take();
}

Result<BlockLayout> embedding_layout(const Checkpoint& checkpoint) {
  BlockBuilder block(checkpoint, 0);
  TRY(block.matrix(TensorRole::embedding, checkpoint.config().vocab_size,
                   checkpoint.config().hidden_size));
  return block.take();
}

Result<BlockLayout> head_layout(const Checkpoint& checkpoint) {
  const ModelConfig& config = checkpoint.config();
  BlockBuilder block(checkpoint, 0);
  block.vector(TensorRole::final_norm, config.hidden_size);
  if (!config.tie_word_embeddings) {
    TRY(block.matrix(TensorRole::head, config.vocab_size, config.hidden_size));
  }
  return block.take();
}

}  // namespace

const WeightSlot* BlockLayout::find(TensorRole role) const {
  for (const WeightSlot& slot : slots) {
    if (slot.role == role) return &slot;
  }
  return nullptr;
}

Weight BlockLayout::weight(TensorRole role, const std::byte* base) const {
  const WeightSlot* slot = find(role);
  CHECK(slot != nullptr, "block of layer {} lacks role {}", layer, static_cast<int>(role));
  return {slot->format, slot->rows, slot->columns, base + slot->offset};
}

const float* BlockLayout::vector(TensorRole role, const std::byte* base) const {
  const WeightSlot* slot = find(role);
  return slot ? reinterpret_cast<const float*>(base + slot->offset) : nullptr;
}

Result<ModelLayout> plan_layout(const Checkpoint& checkpoint) {
  ModelLayout layout;
  layout.layer_count = checkpoint.config().num_hidden_layers;
  for (int64_t layer = 0; layer < layout.layer_count; ++layer) {
    layout.blocks.push_back(TRY(attention_layout(checkpoint, layer)));
    layout.blocks.push_back(TRY(feed_forward_layout(checkpoint, layer)));
  }
  layout.blocks.push_back(TRY(embedding_layout(checkpoint)));
  layout.blocks.push_back(TRY(head_layout(checkpoint)));
  layout.offsets.push_back(0);
  for (const BlockLayout& block : layout.blocks) {
    layout.offsets.push_back(layout.offsets.back() + block.size_bytes);
  }
  return layout;
}

}  // namespace shoehorn
