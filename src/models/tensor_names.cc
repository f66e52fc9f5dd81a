#include "models/tensor_names.h"

namespace shoehorn {
namespace {

struct RoleNames {
  bool per_layer;
  const char* hugging_face;
  const char* gguf;
};

RoleNames names_of(TensorRole role) {
  switch (role) {
    case TensorRole::embedding:
      return {false, "model.embed_tokens.weight", "token_embd.weight"};
    case TensorRole::attention_norm:
      return {true, "input_layernorm.weight", "attn_norm.weight"};
    case TensorRole::query:
      return {true, "self_attn.q_proj.weight", "attn_q.weight"};
    case TensorRole::key:
      return {true, "self_attn.k_proj.weight", "attn_k.weight"};
    case TensorRole::value:
      return {true, "self_attn.v_proj.weight", "attn_v.weight"};
    case TensorRole::attention_output:
      return {true, "self_attn.o_proj.weight", "attn_output.weight"};
    case TensorRole::query_bias:
      return {true, "self_attn.q_proj.bias", "attn_q.bias"};
    case TensorRole::key_bias:
      return {true, "self_attn.k_proj.bias", "attn_k.bias"};
    case TensorRole::value_bias:
      return {true, "self_attn.v_proj.bias", "attn_v.bias"};
    case TensorRole::attention_output_bias:
      return {true, "self_attn.o_proj.bias", "attn_output.bias"};
    case TensorRole::ffn_norm:
      return {true, "post_attention_layernorm.weight", "ffn_norm.weight"};
    case TensorRole::gate:
      return {true, "mlp.gate_proj.weight", "ffn_gate.weight"};
    case TensorRole::up:
      return {true, "mlp.up_proj.weight", "ffn_up.weight"};
    case TensorRole::down:
      return {true, "mlp.down_proj.weight", "ffn_down.weight"};
    case TensorRole::final_norm:
      return {false, "model.norm.weight", "output_norm.weight"};
    case TensorRole::head:
      return {false, "lm_head.weight", "output.weight"};
  }
  return {false, "?", "?"};
}

}  // namespace

std::string tensor_name(TensorNaming naming, TensorRole role, int64_t layer) {
  const RoleNames names = names_of(role);
  const bool gguf = naming == TensorNaming::gguf;
  const char* suffix = gguf ? names.gguf : names.hugging_face;
  if (!names.per_layer) return suffix;
  return fmt::format("{}{}.{}", gguf ? "blk." : "model.layers.", layer, suffix);
}

}  // namespace shoehorn
