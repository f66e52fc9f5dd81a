// Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and llama.cpp
// (https://github.com/ggml-org/llama.cpp, src/llama-arch.cpp).
#include "formats/gguf.h"
#include "formats/model_config.h"
#include "formats/model_config_check.h"
#include "formats/quote.h"
#include "formats/rope_scaling.h"

namespace shoehorn {
namespace {

Result<Architecture> read_architecture(const GgufFile& file) {
  const std::string found = TRY(file.required_string("general.architecture"));
  for (const Architecture architecture : {Architecture::llama, Architecture::qwen2}) {
    if (found == name(architecture)) return architecture;
  }
  return fail(
      "{}: general.architecture: expected llama or qwen2, which are the supported ones, "
      "found {}",
      file.name(), quote(found));
}

// Keys and tensors that would change the computation in ways nothing here computes.
Result<void> refuse_unsupported(const GgufFile& file, std::string_view prefix) {
  for (const char* suffix :
       {"expert_count", "attention.sliding_window", "attention.clamp_kqv", "attention.scale",
        "attention.output_scale", "attention.temperature_scale", "attention.max_alibi_bias",
        "logit_scale", "residual_scale", "embedding_scale", "attn_logit_softcapping",
        "final_logit_softcapping", "rope.scaling.alpha", "rope.scaling.yarn_log_multiplier",
        "rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor", "nextn_predict_layers"}) {
    const std::string key = fmt::format("{}{}", prefix, suffix);
    const double value = TRY(file.number_or(key, 0));
    if (value != 0) {
      return fail("{}: {}: expected 0, as nothing else is supported, found {}", file.name(), key,
                  value);
    }
  }
  for (const char* tensor :
       {"blk.0.attn_q_norm.weight", "blk.0.attn_qkv.weight", "blk.0.ffn_gate.bias",
        "blk.0.ffn_up.bias", "blk.0.ffn_down.bias", "blk.0.attn_sub_norm.weight",
        "blk.0.attn_q.scale", "rope_factors_long.weight", "output.bias"}) {
    if (file.find(tensor) != nullptr) {
      return fail("{}: tensor {}: expected none of this name, as it is not supported", file.name(),
                  tensor);
    }
  }
  const std::string causal = fmt::format("{}attention.causal", prefix);
  if (!TRY(file.boolean_or(causal, true))) {
    return fail("{}: {}: expected true, as nothing else is supported, found false", file.name(),
                causal);
  }
  return {};
}

// Heads all of one size, of which RoPE turns every dimension.
Result<void> read_heads(const GgufFile& file, std::string_view prefix, ModelConfig& config) {
  const auto key = [&](std::string_view suffix) { return fmt::format("{}{}", prefix, suffix); };
  config.num_attention_heads = TRY(file.required_integer(key("attention.head_count")));
  config.num_key_value_heads =
      TRY(file.integer_or(key("attention.head_count_kv"), config.num_attention_heads));
  if (file.has(key("attention.key_length"))) {
    config.head_dim = TRY(file.required_integer(key("attention.key_length")));
  } else {
    config.head_dim =
        TRY(default_head_dim(config.hidden_size, config.num_attention_heads, file.name()));
  }
  for (const char* suffix : {"attention.value_length", "rope.dimension_count"}) {
    const int64_t dimensions = TRY(file.integer_or(key(suffix), config.head_dim));
    if (dimensions != config.head_dim) {
      return fail("{}: {}: expected {} as the key heads have, found {}", file.name(), key(suffix),
                  config.head_dim, dimensions);
    }
  }
  return {};
}

// The rows of the embedding, padding included; a file of a vocabulary alone has only its tokens.
Result<int64_t> read_vocab_size(const GgufFile& file, std::string_view prefix) {
  const std::string key = fmt::format("{}vocab_size", prefix);
  const auto* tokens = TRY(file.strings("tokenizer.ggml.tokens"));
  const auto token_count = static_cast<int64_t>(tokens == nullptr ? 0 : tokens->size());
  const StoredTensor* embedding = file.find("token_embd.weight");
  const int64_t size =
      TRY(file.integer_or(key, embedding != nullptr ? embedding->rows() : token_count));
  if (embedding != nullptr && embedding->rows() != size) {
    return fail("{}: {}: expected {} as token_embd.weight has rows, found {}", file.name(), key,
                embedding->rows(), size);
  }
  return size;
}

}  // namespace

Result<ModelConfig> model_config_from_gguf(const GgufFile& file) {
  ModelConfig config;
  config.architecture = TRY(read_architecture(file));
  const std::string prefix = fmt::format("{}.", name(config.architecture));
  const auto key = [&](std::string_view suffix) { return fmt::format("{}{}", prefix, suffix); };
  TRY(refuse_unsupported(file, prefix));
  config.model_name = TRY(file.string_or("general.name", ""));
  config.num_hidden_layers = TRY(file.required_integer(key("block_count")));
  config.hidden_size = TRY(file.required_integer(key("embedding_length")));
  config.intermediate_size = TRY(file.required_integer(key("feed_forward_length")));
  config.max_position_embeddings = TRY(file.required_integer(key("context_length")));
  TRY(read_heads(file, prefix, config));
  config.vocab_size = TRY(read_vocab_size(file, prefix));
  const std::string eps = key("attention.layer_norm_rms_epsilon");
  config.rms_norm_eps = TRY(file.number_or(eps, -1));
  if (!file.has(eps)) return fail("{}: {}: expected a number, found no such key", file.name(), eps);
  TRY(read_rope(file, prefix, config));
  // The converter interleaves the rows of q and k for llama, and leaves those of qwen2 alone.
  const bool llama = config.architecture == Architecture::llama;
  config.rope_layout = llama ? RopeLayout::interleaved : RopeLayout::half;
  // The format has no keys for these: the tensors are how a file states them.
  config.tie_word_embeddings = file.find("output.weight") == nullptr &&
                               !file.unsupported_tensors().contains("output.weight");
  config.qkv_bias = !llama || file.find("blk.0.attn_q.bias") != nullptr;
  config.output_bias = file.find("blk.0.attn_output.bias") != nullptr;
  TRY(check_config(config, file.name()));
  return config;
}

}  // namespace shoehorn
