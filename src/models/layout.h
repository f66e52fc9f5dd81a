// Layout: which weights make up each block of bytes that a WeightSource hands out, and where in it
// they lie.
//
// Blocks: 2 * layer is a layer's attention, 2 * layer + 1 its feed-forward; then the embedding,
// then the head. Computed from the checkpoint's headers alone, so a plan needs no weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "formats/checkpoint.h"
#include "models/tensor_names.h"
#include "tensor/weight.h"

namespace shoehorn {

struct WeightSlot {
  TensorRole role;
  Format format;  // vectors (norms, biases): f32, one row
  int64_t rows = 0;
  int64_t columns = 0;
  uint64_t offset = 0;  // from the start of the block, a multiple of 64
};

struct BlockLayout {
  int64_t layer = 0;
  std::vector<WeightSlot> slots;
  uint64_t size_bytes = 0;

  const WeightSlot* find(TensorRole role) const;
  // The weight at its place in a block that begins at `base`. CHECK: the block has it.
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

// Errors: a tensor is missing or has another shape than the config says.
Result<ModelLayout> plan_layout(const Checkpoint& checkpoint);

}  // namespace shoehorn
