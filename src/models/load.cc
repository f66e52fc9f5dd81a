#include "models/load.h"

#include <cstring>
#include <vector>

#include "tensor/repack.h"

namespace shoehorn {
namespace {

bool is_vector(TensorRole role) {
  switch (role) {
    case TensorRole::attention_norm:
    case TensorRole::query_bias:
    case TensorRole::key_bias:
    case TensorRole::value_bias:
    case TensorRole::attention_output_bias:
    case TensorRole::ffn_norm:
    case TensorRole::final_norm:
      return true;
    default:
      return false;
  }
}

Result<void> load_slot(ThreadPool& pool, const Checkpoint& checkpoint, const WeightSlot& slot,
                       const std::string& name, std::byte* target) {
  if (is_vector(slot.role)) {
    const std::vector<float> values = TRY(stored_vector(checkpoint, name, slot.columns));
    std::memcpy(target, values.data(), values.size() * sizeof(float));
    return {};
  }
  const StoredMatrix stored = TRY(stored_matrix(checkpoint, name, slot.rows, slot.columns));
  pool.parallel_for(
      slot.rows, [&](int64_t begin, int64_t end) { repack_rows(stored, begin, end, target); },
      kTileRows);
  checkpoint.release(*checkpoint.find(name));
  return {};
}

}  // namespace

Result<std::unique_ptr<WeightSource>> load_resident(ThreadPool& pool, const Checkpoint& checkpoint,
                                                    const ModelLayout& layout,
                                                    const LoadProgress& progress) {
  HostBuffer buffer = TRY(HostBuffer::create(layout.size_bytes(), "weights"));
  for (size_t b = 0; b < layout.blocks.size(); ++b) {
    const BlockLayout& block = layout.blocks[b];
    for (const WeightSlot& slot : block.slots) {
      const std::string name = tensor_name(checkpoint.naming(), slot.role, block.layer);
      const uint64_t offset = layout.offsets[b] + slot.offset;
      TRY(load_slot(pool, checkpoint, slot, name, buffer.data() + offset));
      if (progress) progress(offset, layout.size_bytes());
    }
  }
  if (progress) progress(layout.size_bytes(), layout.size_bytes());
  return std::unique_ptr<WeightSource>(
      std::make_unique<ResidentWeights>(std::move(buffer), layout.offsets));
}

}  // namespace shoehorn
