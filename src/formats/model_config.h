// ModelConfig: what a model is, as stated by config.json or GGUF metadata. Names are config.json's.
//
// A field that changes the computation is used or the file is refused by the field's name; an
// architecture that Shoehorn does not compute is refused by its name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace shoehorn {

class GgufFile;

enum class Architecture : uint8_t { llama, qwen2 };
const char* name(Architecture architecture);

enum class RopeScalingType : uint8_t { none, linear, llama3, yarn };

// Which dimensions rotate together in the stored q and k rows (GGUF llama files have them
// permuted).
enum class RopeLayout : uint8_t { half, interleaved };

struct RopeScaling {
  RopeScalingType type = RopeScalingType::none;
  double factor = 1;
  double original_max_position_embeddings = 0;
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
  double beta_fast = 32, beta_slow = 1;              // yarn
  double attention_factor = 1;  // yarn: on cos and sin, default already applied
  // A GGUF file may scale by a table instead: its tensor rope_freqs.weight holds a divisor for each
  // frequency, and type is none.
};

struct ModelConfig {
  Architecture architecture = Architecture::llama;
  std::string model_name;  // general.name, _name_or_path or the file's own name
  int64_t num_hidden_layers = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_attention_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 0;
  double rope_theta = 10000;
  RopeLayout rope_layout = RopeLayout::half;
  RopeScaling rope_scaling;
  bool tie_word_embeddings = false;
  bool qkv_bias = false;     // qwen2: always; llama: attention_bias
  bool output_bias = false;  // llama with attention_bias: o_proj too
  // F8_E4M3 matrices come with a multiplier for each 128 x 128 tile (quantization_config fp8).
  bool f8_tile_scales = false;

  int64_t query_size() const { return num_attention_heads * head_dim; }
  int64_t key_value_size() const { return num_key_value_heads * head_dim; }
};

// From the text of a config.json; `source` names it in errors.
Result<ModelConfig> parse_model_config(std::string_view json, std::string_view source);

// From GGUF metadata (and the presence of output.weight, which the format defines as the sign of an
// untied head).
Result<ModelConfig> model_config_from_gguf(const GgufFile& file);

// Sampling defaults and stop tokens of generation_config.json (or config.json, which states the
// same fields); absent fields stay unset (-1).
struct GenerationConfig {
  std::vector<int32_t> eos_token_ids;
  double temperature = -1;
  double top_p = -1;
  int64_t top_k = -1;
  double repetition_penalty = -1;
};
Result<GenerationConfig> parse_generation_config(std::string_view json, std::string_view source);

}  // namespace shoehorn
