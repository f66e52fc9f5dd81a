#include "formats/model_config_check.h"

namespace shoehorn {
namespace {

struct Bound {
  const char* field;
  int64_t value;
  int64_t most;
};

}  // namespace

Result<int64_t> default_head_dim(int64_t hidden_size, int64_t num_attention_heads,
                                 std::string_view source) {
  if (num_attention_heads < 1 || hidden_size < 1 || hidden_size % num_attention_heads != 0) {
    return fail("{}: hidden_size: expected a multiple of num_attention_heads {}, found {}", source,
                num_attention_heads, hidden_size);
  }
  return hidden_size / num_attention_heads;
}

Result<void> check_config(const ModelConfig& config, std::string_view source) {
  const Bound bounds[] = {
      {"num_hidden_layers", config.num_hidden_layers, 1 << 16},
      {"hidden_size", config.hidden_size, 1 << 24},
      {"intermediate_size", config.intermediate_size, 1 << 26},
      {"num_attention_heads", config.num_attention_heads, 1 << 16},
      {"num_key_value_heads", config.num_key_value_heads, 1 << 16},
      {"head_dim", config.head_dim, 1 << 14},
      {"vocab_size", config.vocab_size, 1 << 28},
      {"max_position_embeddings", config.max_position_embeddings, 1 << 30},
  };
  for (const Bound& bound : bounds) {
    if (bound.value < 1 || bound.value > bound.most) {
      return fail("{}: {}: expected 1 to {}, found {}", source, bound.field, bound.most,
                  bound.value);
    }
  }
  if (config.num_attention_heads % config.num_key_value_heads != 0) {
    return fail("{}: num_key_value_heads: expected a divisor of num_attention_heads {}, found {}",
                source, config.num_attention_heads, config.num_key_value_heads);
  }
  if (config.head_dim % 2 != 0) {
    return fail("{}: head_dim: expected an even number, found {}", source, config.head_dim);
  }
  if (!(config.rms_norm_eps >= 0 && config.rms_norm_eps < 1)) {
    return fail("{}: rms_norm_eps: expected 0 to 1, found {}", source, config.rms_norm_eps);
  }
  if (!(config.rope_theta >= 1 && config.rope_theta <= 1e18)) {
    return fail("{}: rope_theta: expected 1 to 1e18, found {}", source, config.rope_theta);
  }
  return {};
}

}  // namespace shoehorn
