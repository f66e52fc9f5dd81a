// ModelInventory: what a model's bytes are, from its config and formats alone, so that a plan needs
// no weights.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/model_config.h"
#include "models/layout.h"
#include "tensor/dtype.h"
#include "tensor/format.h"

namespace shoehorn {

// Tokens of a page of the KV cache.
inline constexpr int64_t kKvPageTokens = 64;

// One layer. A unit is a neuron group of its feed-forward, as layout.h cuts it.
struct LayerInventory {
  uint64_t attention_bytes = 0;
  int64_t attention_parameters = 0;
  uint64_t feed_forward_fixed_bytes = 0;  // what belongs to no unit: the norm
  uint64_t unit_bytes = 0;
  int64_t unit_parameters = 0;
  int64_t units = 0;

  uint64_t feed_forward_bytes() const {
    return feed_forward_fixed_bytes + unit_bytes * static_cast<uint64_t>(units);
  }
};

struct ModelInventory {
  ModelConfig config;
  std::string weights;  // the format of most matrix bytes: "int4 g64 f16"
  double bits_per_weight = 0;
  std::vector<LayerInventory> layers;
  uint64_t embedding_bytes = 0;
  // Final norm and head; where the head is the embedding, a copy of it.
  uint64_t head_bytes = 0;
  int64_t head_parameters = 0;
  int64_t parameters = 0;

  uint64_t layer_bytes() const;  // of all layers
  // Read to compute one token: all layers and the head.
  uint64_t decode_bytes() const { return layer_bytes() + head_bytes; }
  // Of one token in one layer.
  uint64_t kv_bytes_per_layer(DType dtype) const {
    return static_cast<uint64_t>(2 * config.key_value_size() * size_bytes(dtype));
  }
  uint64_t kv_bytes_per_token(DType dtype) const {
    return kv_bytes_per_layer(dtype) * layers.size();
  }
  // Of a cache for so many sequences at full context: whole pages.
  uint64_t kv_cache_bytes(DType dtype, int64_t context, int64_t sequences) const {
    const int64_t pages = (context + kKvPageTokens - 1) / kKvPageTokens * sequences;
    return static_cast<uint64_t>(pages * kKvPageTokens) * kv_bytes_per_token(dtype);
  }
};

ModelInventory take_inventory(const ModelConfig& config, const ModelLayout& layout);

// The format that --bits N --group G means: symmetric codes of N = 2, 3, 4, 5, 6 or 8 bits with a
// half as scale for each G columns; 16: bf16; 32: f32. Errors: another number of bits or group.
Result<Format> format_of_bits(int bits, int group);

// Of a model with all matrices in one format. Errors: a matrix has no whole number of groups.
Result<ModelInventory> inventory_at(const ModelConfig& config, const Format& format);

}  // namespace shoehorn
