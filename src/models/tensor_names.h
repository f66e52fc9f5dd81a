// The names that llama and qwen2 tensors go by in each family of files (they share both tables).
#pragma once

#include <cstdint>
#include <string>

#include "formats/checkpoint.h"

namespace shoehorn {

enum class TensorRole : uint8_t {
  embedding,
  attention_norm,
  query,
  key,
  value,
  attention_output,
  query_bias,
  key_bias,
  value_bias,
  attention_output_bias,
  ffn_norm,
  gate,
  up,
  down,
  final_norm,
  head,
};

// `layer` counts from 0 and is ignored by embedding, final_norm and head.
std::string tensor_name(TensorNaming naming, TensorRole role, int64_t layer);

}  // namespace shoehorn
