// Field names and defaults: transformers' LlamaConfig and Qwen2Config,
// https://github.com/huggingface/transformers (models/llama, models/qwen2).
#include "formats/model_config.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "formats/json_fields.h"
#include "formats/model_config_check.h"
#include "formats/quote.h"
#include "formats/rope_scaling.h"

namespace shoehorn {
namespace {

using nlohmann::json;

constexpr int64_t kF8TileSide = 128;

struct KnownArchitecture {
  Architecture architecture;
  const char* class_name;  // config.json: architectures
};
constexpr KnownArchitecture kKnown[] = {
    {Architecture::llama, "LlamaForCausalLM"},
    {Architecture::qwen2, "Qwen2ForCausalLM"},
};

// model_type and architectures must both name the same supported one; either may be absent.
Result<Architecture> read_architecture(const JsonFields& fields) {
  const std::string model_type = TRY(fields.string_or("model_type", ""));
  std::string class_name;
  if (const json* names = fields.find("architectures")) {
    if (!names->is_array() || names->size() != 1 || !names->at(0).is_string()) {
      return fields.wrong("architectures", "an array of one name");
    }
    class_name = names->at(0).get<std::string>();
  }
  if (model_type.empty() && class_name.empty()) return fields.wrong("model_type", "a name");
  for (const KnownArchitecture& known : kKnown) {
    const bool type_fits = model_type.empty() || model_type == name(known.architecture);
    if (type_fits && (class_name.empty() || class_name == known.class_name)) {
      return known.architecture;
    }
  }
  return fail(
      "{}: model_type and architectures: expected llama (LlamaForCausalLM) or qwen2 "
      "(Qwen2ForCausalLM), which are the supported ones, found {} ({})",
      fields.source(), quote(model_type), quote(class_name));
}

// Fields that would change the computation in ways nothing here computes.
Result<void> refuse_unsupported(const JsonFields& fields) {
  const std::string activation = TRY(fields.string_or("hidden_act", "silu"));
  if (activation != "silu" && activation != "swish") return fields.wrong("hidden_act", "'silu'");
  for (const char* key : {"mlp_bias", "use_sliding_window", "rope_interleaved", "use_qk_norm",
                          "qk_layernorm", "is_encoder_decoder"}) {
    if (TRY(fields.boolean_or(key, false))) {
      return fields.wrong(key, "false, as nothing else is supported");
    }
  }
  if (TRY(fields.number_or("partial_rotary_factor", 1)) != 1) {
    return fields.wrong("partial_rotary_factor", "1, as nothing else is supported");
  }
  if (const json* types = fields.find("layer_types")) {
    const bool all_full =
        types->is_array() && std::all_of(types->begin(), types->end(),
                                         [](const json& type) { return type == "full_attention"; });
    if (!all_full) return fields.wrong("layer_types", "'full_attention' for each layer");
  }
  return {};
}

// Weights quantized to fp8 in 128 x 128 tiles are read; every other method is refused by name.
Result<bool> read_quantization(const JsonFields& fields) {
  if (!fields.has("quantization_config")) return false;
  const JsonFields quantization = TRY(fields.required_object("quantization_config"));
  if (TRY(quantization.string_or("quant_method", "")) != "fp8") {
    return quantization.wrong("quant_method", "'fp8', as no other is supported");
  }
  TRY(quantization.only({"quant_method", "fmt", "weight_block_size", "activation_scheme",
                         "scale_fmt", "modules_to_not_convert", "dequantize"}));
  if (TRY(quantization.string_or("fmt", "e4m3")) != "e4m3") {
    return quantization.wrong("fmt", "'e4m3', as no other is supported");
  }
  if (TRY(quantization.string_or("activation_scheme", "dynamic")) != "dynamic") {
    return quantization.wrong("activation_scheme", "'dynamic', as no other is supported");
  }
  const json* block = quantization.find("weight_block_size");
  if (block != nullptr && *block != json::array({kF8TileSide, kF8TileSide})) {
    return quantization.wrong("weight_block_size", "[128, 128], as no other is supported");
  }
  return true;
}

Result<void> read_sizes(const JsonFields& fields, ModelConfig& config) {
  config.num_hidden_layers = TRY(fields.required_integer("num_hidden_layers"));
  config.hidden_size = TRY(fields.required_integer("hidden_size"));
  config.intermediate_size = TRY(fields.required_integer("intermediate_size"));
  config.num_attention_heads = TRY(fields.required_integer("num_attention_heads"));
  config.vocab_size = TRY(fields.required_integer("vocab_size"));
  config.num_key_value_heads =
      TRY(fields.integer_or("num_key_value_heads", config.num_attention_heads));
  if (fields.has("head_dim")) {
    config.head_dim = TRY(fields.required_integer("head_dim"));
  } else {
    config.head_dim =
        TRY(default_head_dim(config.hidden_size, config.num_attention_heads, fields.source()));
  }
  const int64_t default_positions = config.architecture == Architecture::llama ? 2048 : 32768;
  config.max_position_embeddings =
      TRY(fields.integer_or("max_position_embeddings", default_positions));
  return {};
}

// One id, an array of ids, or nothing.
Result<std::vector<int32_t>> read_ids(const JsonFields& fields, std::string_view key) {
  std::vector<int32_t> ids;
  const json* value = fields.find(key);
  if (value == nullptr) return ids;
  const json list = value->is_array() ? *value : json::array({*value});
  for (const json& id : list) {
    if (!id.is_number_integer() || id < 0 || id > std::numeric_limits<int32_t>::max()) {
      return fail("{}: {}: expected token ids, found {}", fields.source(), key, describe(id));
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

}  // namespace

const char* name(Architecture architecture) {
  switch (architecture) {
    case Architecture::llama:
      return "llama";
    case Architecture::qwen2:
      return "qwen2";
  }
  return "?";
}

Result<ModelConfig> parse_model_config(std::string_view text, std::string_view source) {
  const json object = TRY(parse_json_object(text, source));
  const JsonFields fields(object, std::string(source));
  ModelConfig config;
  config.architecture = TRY(read_architecture(fields));
  TRY(refuse_unsupported(fields));
  config.f8_tile_scales = TRY(read_quantization(fields));
  config.model_name = TRY(fields.string_or("_name_or_path", ""));
  TRY(read_sizes(fields, config));
  config.rms_norm_eps = TRY(fields.number_or("rms_norm_eps", 1e-6));
  config.tie_word_embeddings = TRY(fields.boolean_or("tie_word_embeddings", false));
  if (config.architecture == Architecture::qwen2) {
    config.qkv_bias = true;  // part of the architecture; config.json has no field for it
  } else {
    config.qkv_bias = TRY(fields.boolean_or("attention_bias", false));
    config.output_bias = config.qkv_bias;
  }
  config.rope_layout = RopeLayout::half;
  TRY(read_rope(fields, config));
  TRY(check_config(config, source));
  return config;
}

Result<GenerationConfig> parse_generation_config(std::string_view text, std::string_view source) {
  const json object = TRY(parse_json_object(text, source));
  const JsonFields fields(object, std::string(source));
  GenerationConfig config;
  config.eos_token_ids = TRY(read_ids(fields, "eos_token_id"));
  config.temperature = TRY(fields.number_or("temperature", -1));
  config.top_p = TRY(fields.number_or("top_p", -1));
  config.top_k = TRY(fields.integer_or("top_k", -1));
  config.repetition_penalty = TRY(fields.number_or("repetition_penalty", -1));
  return config;
}

}  // namespace shoehorn
