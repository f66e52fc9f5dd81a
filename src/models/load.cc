#include "models/load.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "base/bus_guard.h"
#include "models/read_ahead.h"
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

// One tile of 16 rows of one part, to where the part goes.
void repack_tile_of(const StoredMatrix& stored, const WeightSlot& slot, int64_t part, int64_t tile,
                    std::byte* target) {
  StoredMatrix matrix = stored;
  if (slot.cut == Cut::columns) {
    const int64_t columns = slot.part_columns();
    matrix = column_range(stored, part * columns, (part + 1) * columns);
  }
  const int64_t first = slot.cut == Cut::rows ? part * slot.part_rows() : 0;
  const int64_t begin = first + tile * kTileRows;
  const int64_t end = std::min(begin + kTileRows, first + slot.part_rows());
  // Rows are written at their place in the whole: step back by those before the part.
  repack_rows(matrix, begin, end, target - size_bytes(slot.format, first, matrix.columns));
}

// All parts of a matrix in one parallel region, in the order of the file, so that threads wait for
// each other once a matrix and not once a part: a large model has ten thousand parts. False: the
// file could not be read.
bool repack_slot(ThreadPool& pool, const StoredMatrix& stored, const WeightSlot& slot,
                 const BlockTarget& target) {
  const int64_t tiles = (slot.part_rows() + kTileRows - 1) / kTileRows;
  std::atomic<bool> readable = true;
  pool.parallel_for(slot.parts * tiles, [&](int64_t begin, int64_t end) {
    const auto repack = [&] {
      for (int64_t i = begin; i < end; ++i) {
        const bool across = slot.cut == Cut::columns;  // a row of the file has all parts
        const int64_t part = across ? i % slot.parts : i / tiles;
        const int64_t tile = across ? i / slot.parts : i % tiles;
        const uint64_t offset = slot.offset + static_cast<uint64_t>(part) * slot.part_stride_bytes;
        repack_tile_of(stored, slot, part, tile, target.at(offset));
      }
    };
    if (!survives_reading(repack)) readable = false;
  });
  return readable;
}

Result<void> load_slot(ThreadPool& pool, const Checkpoint& checkpoint, const WeightSlot& slot,
                       const std::string& name, const BlockTarget& target) {
  if (is_vector(slot.role)) {
    const std::vector<float> values = TRY(stored_vector(checkpoint, name, slot.columns));
    std::memcpy(target.at(slot.offset), values.data(), values.size() * sizeof(float));
    return {};
  }
  const StoredMatrix stored = TRY(stored_matrix(checkpoint, name, slot.rows, slot.columns));
  if (!repack_slot(pool, stored, slot, target)) return unreadable(checkpoint, name);
  checkpoint.release(*checkpoint.find(name));
  return {};
}

// Embedding and head, then the layers.
std::vector<int> load_order(const ModelLayout& layout) {
  std::vector<int> order = {layout.embedding_block(), layout.head_block()};
  for (int block = 0; block < layout.embedding_block(); ++block) order.push_back(block);
  return order;
}

std::vector<const StoredTensor*> matrices_in_order(const Checkpoint& checkpoint,
                                                   const ModelLayout& layout) {
  std::vector<const StoredTensor*> tensors;
  for (const int b : load_order(layout)) {
    for (const WeightSlot& slot : layout.blocks[b].slots) {
      if (is_vector(slot.role)) continue;
      const StoredTensor* tensor =
          checkpoint.find(tensor_name(checkpoint.naming(), slot.role, layout.blocks[b].layer));
      if (tensor != nullptr) tensors.push_back(tensor);
    }
  }
  return tensors;
}

// Blocks one after the other in one buffer.
class ResidentSink final : public WeightSink {
 public:
  ResidentSink(HostBuffer& buffer, const ModelLayout& layout) : buffer_(buffer), layout_(layout) {}
  Result<BlockTarget> begin(int block) override {
    return BlockTarget{.far = buffer_.data() + layout_.offsets[block]};
  }
  Result<void> end(int) override { return {}; }

 private:
  HostBuffer& buffer_;
  const ModelLayout& layout_;
};

}  // namespace

Result<void> load_weights(ThreadPool& pool, const Checkpoint& checkpoint, const ModelLayout& layout,
                          WeightSink& sink, const LoadProgress& progress) {
  ReadAhead ahead(checkpoint, matrices_in_order(checkpoint, layout));
  uint64_t done = 0;
  for (const int b : load_order(layout)) {
    const BlockLayout& block = layout.blocks[b];
    const BlockTarget target = TRY(sink.begin(b));
    for (const WeightSlot& slot : block.slots) {
      const std::string name = tensor_name(checkpoint.naming(), slot.role, block.layer);
      TRY(load_slot(pool, checkpoint, slot, name, target));
      if (!is_vector(slot.role)) ahead.done(checkpoint.find(name)->bytes.size());
      if (progress) progress(done + slot.offset, layout.size_bytes());
    }
    TRY(sink.end(b));
    done += block.size_bytes;
  }
  if (progress) progress(layout.size_bytes(), layout.size_bytes());
  return {};
}

Result<std::unique_ptr<WeightSource>> load_resident(ThreadPool& pool, const Checkpoint& checkpoint,
                                                    const ModelLayout& layout,
                                                    const LoadProgress& progress) {
  HostBuffer buffer = TRY(HostBuffer::create(layout.size_bytes(), "weights"));
  ResidentSink sink(buffer, layout);
  TRY(load_weights(pool, checkpoint, layout, sink, progress));
  return std::unique_ptr<WeightSource>(
      std::make_unique<ResidentWeights>(std::move(buffer), layout.offsets));
}

}  // namespace shoehorn
