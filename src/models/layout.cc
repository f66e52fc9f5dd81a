#include "models/layout.h"

#include <numeric>

#include "base/bytes.h"
#include "tensor/repack.h"

namespace shoehorn {
namespace {

constexpr uint64_t kSlotAlignment = 64;
// Blocks begin on pages, so that one can be read from disk or copied to a card by itself.
constexpr uint64_t kBlockAlignment = 4096;
constexpr uint64_t kGroupAlignment = 256;

// Adds slots to one block, asking for each matrix's format.
class BlockBuilder {
 public:
  BlockBuilder(const MatrixKinds& kinds, int64_t layer) : kinds_(kinds) { block_.layer = layer; }

  Result<void> matrix(TensorRole role, int64_t rows, int64_t columns) {
    const MatrixKind kind = TRY(kinds_(role, block_.layer, rows, columns));
    append({role, kind.format, rows, columns});
    return {};
  }

  void vector(TensorRole role, int64_t length) { append({role, kF32, 1, length}); }

  // Gate and up [f, h], down [h, f], cut into neuron groups.
  Result<void> neuron_groups(int64_t f, int64_t h) {
    const MatrixKind gate = TRY(kinds_(TensorRole::gate, block_.layer, f, h));
    const MatrixKind up = TRY(kinds_(TensorRole::up, block_.layer, f, h));
    const MatrixKind down = TRY(kinds_(TensorRole::down, block_.layer, h, f));
    const int64_t multiple = std::lcm(down.column_cut, column_multiple(down.format));
    const int64_t neurons = neurons_of_a_group(f, multiple);
    const int64_t count = f / neurons;
    block_.size_bytes = round_up(block_.size_bytes, kGroupAlignment);
    block_.groups = {.count = count, .neurons = neurons, .offset = block_.size_bytes};
    append({.role = TensorRole::gate,
            .format = gate.format,
            .rows = f,
            .columns = h,
            .cut = Cut::rows,
            .parts = count});
    append({.role = TensorRole::up,
            .format = up.format,
            .rows = f,
            .columns = h,
            .cut = Cut::rows,
            .parts = count});
    append({.role = TensorRole::down,
            .format = down.format,
            .rows = h,
            .columns = f,
            .cut = Cut::columns,
            .parts = count});
    const uint64_t stride = round_up(block_.size_bytes - block_.groups.offset, kGroupAlignment);
    block_.groups.stride_bytes = stride;
    for (size_t i = block_.slots.size() - 3; i < block_.slots.size(); ++i) {
      block_.slots[i].part_stride_bytes = stride;
    }
    block_.size_bytes = block_.groups.offset + stride * static_cast<uint64_t>(count);
    return {};
  }

  BlockLayout take() {
    block_.size_bytes = round_up(block_.size_bytes, kBlockAlignment);
    return std::move(block_);
  }

 private:
  // The slot, or its first part.
  void append(WeightSlot slot) {
    slot.offset = block_.size_bytes;
    block_.size_bytes = round_up(slot.offset + slot.part_bytes(), kSlotAlignment);
    block_.slots.push_back(slot);
  }

  const MatrixKinds& kinds_;
  BlockLayout block_;
};

Result<BlockLayout> attention_layout(const ModelConfig& config, const MatrixKinds& kinds,
                                     int64_t layer) {
  const int64_t h = config.hidden_size;
  BlockBuilder block(kinds, layer);
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

Result<BlockLayout> feed_forward_layout(const ModelConfig& config, const MatrixKinds& kinds,
                                        int64_t layer) {
  BlockBuilder block(kinds, layer);
  block.vector(TensorRole::ffn_norm, config.hidden_size);
  TRY(block.neuron_groups(config.intermediate_size, config.hidden_size));
  return block.take();
}

Result<BlockLayout> embedding_layout(const ModelConfig& config, const MatrixKinds& kinds) {
  BlockBuilder block(kinds, 0);
  TRY(block.matrix(TensorRole::embedding, config.vocab_size, config.hidden_size));
  return block.take();
}

Result<BlockLayout> head_layout(const ModelConfig& config, const MatrixKinds& kinds) {
  BlockBuilder block(kinds, 0);
  block.vector(TensorRole::final_norm, config.hidden_size);
  if (!config.tie_word_embeddings) {
    TRY(block.matrix(TensorRole::head, config.vocab_size, config.hidden_size));
  }
  return block.take();
}

}  // namespace

int64_t neurons_of_a_group(int64_t intermediate_size, int64_t multiple) {
  for (const int64_t neurons : {512, 256, 128, 64, 32}) {
    if (intermediate_size % neurons == 0 && neurons % multiple == 0 &&
        intermediate_size / neurons <= kMaxNeuronGroups) {
      return neurons;
    }
  }
  return intermediate_size;
}

const WeightSlot* BlockLayout::find(TensorRole role) const {
  for (const WeightSlot& slot : slots) {
    if (slot.role == role) return &slot;
  }
  return nullptr;
}

Weight BlockLayout::weight(TensorRole role, const std::byte* base) const {
  const WeightSlot* slot = find(role);
  CHECK(slot != nullptr && slot->cut == Cut::none, "block of layer {} lacks role {}", layer,
        static_cast<int>(role));
  return {slot->format, slot->rows, slot->columns, base + slot->offset};
}

const float* BlockLayout::vector(TensorRole role, const std::byte* base) const {
  const WeightSlot* slot = find(role);
  return slot ? reinterpret_cast<const float*>(base + slot->offset) : nullptr;
}

Result<ModelLayout> plan_layout(const ModelConfig& config, const MatrixKinds& kinds) {
  ModelLayout layout;
  layout.layer_count = config.num_hidden_layers;
  for (int64_t layer = 0; layer < layout.layer_count; ++layer) {
    layout.blocks.push_back(TRY(attention_layout(config, kinds, layer)));
    layout.blocks.push_back(TRY(feed_forward_layout(config, kinds, layer)));
  }
  layout.blocks.push_back(TRY(embedding_layout(config, kinds)));
  layout.blocks.push_back(TRY(head_layout(config, kinds)));
  layout.offsets.push_back(0);
  for (const BlockLayout& block : layout.blocks) {
    layout.offsets.push_back(layout.offsets.back() + block.size_bytes);
  }
  return layout;
}

Result<ModelLayout> plan_layout(const Checkpoint& checkpoint) {
  const auto kind_of = [&](TensorRole role, int64_t layer, int64_t rows,
                           int64_t columns) -> Result<MatrixKind> {
    const std::string name = tensor_name(checkpoint.naming(), role, layer);
    const StoredMatrix stored = TRY(stored_matrix(checkpoint, name, rows, columns));
    return MatrixKind{internal_format(stored.type), column_cut(stored.type)};
  };
  return plan_layout(checkpoint.config(), kind_of);
}

}  // namespace shoehorn
