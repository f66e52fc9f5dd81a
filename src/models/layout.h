// Layout: which weights make up each block of bytes that a WeightSource hands out, and where in it
// they lie.
//
// Blocks: 2 * layer is a layer's attention, 2 * layer + 1 its feed-forward; then the embedding,
// then the head. Computed from the checkpoint's headers alone, so a plan needs no weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "formats/checkpoint.h"
#include "models/tensor_names.h"
#include "tensor/weight.h"

namespace shoehorn {

enum class Cut : uint8_t { none, rows, columns };

struct WeightSlot {
  TensorRole role;
  Format format;  // vectors (norms, biases): f32, one row
  int64_t rows = 0;
  int64_t columns = 0;
  uint64_t offset = 0;  // from the start of the block, a multiple of 64
  // A feed-forward's matrices are cut into equal parts, one in each neuron group.
  Cut cut = Cut::none;
  int64_t parts = 1;
  uint64_t part_stride_bytes = 0;  // from a part to the next

  int64_t part_rows() const { return cut == Cut::rows ? rows / parts : rows; }
  int64_t part_columns() const { return cut == Cut::columns ? columns / parts : columns; }
  uint64_t part_bytes() const {
    return static_cast<uint64_t>(shoehorn::size_bytes(format, part_rows(), part_columns()));
  }
};

// The neuron groups of a feed-forward block: `count` runs of bytes, each the gate rows, the up rows
// and the down columns of the same neurons. What does not belong to a group (the norm) lies before
// them.
struct NeuronGroups {
  int64_t count = 1;
  int64_t neurons = 0;        // of one group
  uint64_t offset = 0;        // of the first group in its block
  uint64_t stride_bytes = 0;  // from a group to the next
};
inline constexpr int64_t kMaxNeuronGroups = 128;

// Neurons of a group: the largest of 512, 256, 128, 64 and 32 that divides the feed-forward's width
// f, is a multiple of `multiple`, and gives at most kMaxNeuronGroups groups; f where none does. 512
// neurons of the 67B at 4.5 bits are 7 MB: fine enough to fill a card, and long enough runs for
// memory to be read at its full rate.
int64_t neurons_of_a_group(int64_t intermediate_size, int64_t multiple);

struct BlockLayout {
  int64_t layer = 0;
  std::vector<WeightSlot> slots;
  uint64_t size_bytes = 0;
  NeuronGroups groups;  // of a feed-forward block

  const WeightSlot* find(TensorRole role) const;
  // The weight at its place in a block that begins at `base`. CHECK: the block has it, uncut.
  Weight weight(TensorRole role, const std::byte* base) const;
  // The same for a vector; null where the block has none (an absent bias).
  const float* vector(TensorRole role, const std::byte* base) const;
};

struct ModelLayout {
  int64_t layer_count = 0;
  std::vector<BlockLayout> blocks;
  std::vector<uint64_t> offsets;  // of each block from the start of all, and the end

  int attention_block(int64_t layer) const { return static_cast<int>(2 * layer); }
  int feed_forward_block(int64_t layer) const { return static_cast<int>(2 * layer + 1); }
  int embedding_block() const { return static_cast<int>(2 * layer_count); }
  int head_block() const { return static_cast<int>(2 * layer_count + 1); }
  uint64_t size_bytes() const { return offsets.back(); }
};

// How a matrix is held: its internal format, and the multiple of columns that it can be cut at.
struct MatrixKind {
  Format format;
  int64_t column_cut = 1;
};
// Errors: there is no such matrix.
using MatrixKinds = std::function<Result<MatrixKind>(TensorRole role, int64_t layer, int64_t rows,
                                                     int64_t columns)>;

// Of any model whose matrices are known. Errors: those of `kinds`.
Result<ModelLayout> plan_layout(const ModelConfig& config, const MatrixKinds& kinds);

// Of the files. Errors: a tensor is missing or has another shape than the config says.
Result<ModelLayout> plan_layout(const Checkpoint& checkpoint);

}  // namespace shoehorn
