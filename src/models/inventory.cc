#include "models/inventory.h"

#include <algorithm>
#include <map>

namespace shoehorn {
namespace {

int64_t parameters_of(const BlockLayout& block) {
  int64_t count = 0;
  for (const WeightSlot& slot : block.slots) count += slot.rows * slot.columns;
  return count;
}

LayerInventory layer_of(const BlockLayout& attention, const BlockLayout& feed_forward) {
  const NeuronGroups& groups = feed_forward.groups;
  int64_t matrices = 0;
  for (const WeightSlot& slot : feed_forward.slots) {
    if (slot.cut != Cut::none) matrices += slot.rows * slot.columns;
  }
  return {.attention_bytes = attention.size_bytes,
          .attention_parameters = parameters_of(attention),
          .feed_forward_fixed_bytes = groups.offset,
          .unit_bytes = groups.stride_bytes,
          .unit_parameters = matrices / groups.count,
          .units = groups.count};
}

// The format that most bytes of matrices are in, and the average bits of all of them.
void describe_matrices(const ModelLayout& layout, ModelInventory& inventory) {
  std::map<std::string, double> bits_by_format;
  double bits = 0, weights = 0;
  for (const BlockLayout& block : layout.blocks) {
    for (const WeightSlot& slot : block.slots) {
      if (slot.rows == 1) continue;
      const auto count = static_cast<double>(slot.rows) * static_cast<double>(slot.columns);
      const double slot_bits = bits_per_weight(slot.format) * count;
      bits_by_format[name(slot.format)] += slot_bits;
      bits += slot_bits;
      weights += count;
    }
  }
  const auto most =
      std::max_element(bits_by_format.begin(), bits_by_format.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most != bits_by_format.end()) inventory.weights = most->first;
  inventory.bits_per_weight = weights > 0 ? bits / weights : 0;
}

}  // namespace

uint64_t ModelInventory::layer_bytes() const {
  uint64_t bytes = 0;
  for (const LayerInventory& layer : layers) {
    bytes += layer.attention_bytes + layer.feed_forward_bytes();
  }
  return bytes;
}

ModelInventory take_inventory(const ModelConfig& config, const ModelLayout& layout) {
  ModelInventory inventory;
  inventory.config = config;
  for (int64_t layer = 0; layer < layout.layer_count; ++layer) {
    inventory.layers.push_back(layer_of(layout.blocks[layout.attention_block(layer)],
                                        layout.blocks[layout.feed_forward_block(layer)]));
  }
  const BlockLayout& embedding = layout.blocks[layout.embedding_block()];
  const BlockLayout& head = layout.blocks[layout.head_block()];
  const bool tied = head.find(TensorRole::head) == nullptr;
  inventory.embedding_bytes = embedding.size_bytes;
  inventory.head_bytes = head.size_bytes + (tied ? embedding.size_bytes : 0);
  inventory.head_parameters = parameters_of(tied ? embedding : head);
  for (const BlockLayout& block : layout.blocks) inventory.parameters += parameters_of(block);
  describe_matrices(layout, inventory);
  return inventory;
}

Result<Format> format_of_bits(int bits, int group) {
  if (bits == 16) return kBf16;
  if (bits == 32) return kF32;
  const Format format = {.storage = Storage::grouped,
                         .bits = static_cast<uint8_t>(bits),
                         .group = static_cast<uint16_t>(group),
                         .scale = ScaleEncoding::f16,
                         .meaning = CodeMeaning::symmetric};
  if (bits < 2 || bits > 8 || bits == 7) {
    return fail("bits: expected 2, 3, 4, 5, 6, 8, 16 or 32, found {}", bits);
  }
  if (group < 32 || group > 256 || !is_valid(format)) {
    return fail("group: expected 32, 64, 128 or 256, found {}", group);
  }
  return format;
}

Result<ModelInventory> inventory_at(const ModelConfig& config, const Format& format) {
  const int64_t multiple = column_multiple(format);
  const auto kind = [&](TensorRole role, int64_t layer, int64_t,
                        int64_t columns) -> Result<MatrixKind> {
    if (columns % multiple != 0) {
      return fail("{}: group: expected a divisor of {} columns, found {}",
                  tensor_name(TensorNaming::hugging_face, role, layer), columns, multiple);
    }
    return MatrixKind{format, multiple};
  };
  return take_inventory(config, TRY(plan_layout(config, kind)));
}

}  // namespace shoehorn
