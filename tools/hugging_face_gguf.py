"""GGUF twins of Hugging Face checkpoints: tensor names, metadata and the order of q and k rows.

Names, keys and the permutation are those of llama.cpp's convert_hf_to_gguf.py
(https://github.com/ggml-org/llama.cpp). Needs: numpy, gguf.
"""

import math

import gguf
import numpy as np

# Hugging Face name after "model.layers.N." -> GGUF name after "blk.N.".
LAYER_NAMES = {
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "self_attn.q_proj.bias": "attn_q.bias",
    "self_attn.k_proj.bias": "attn_k.bias",
    "self_attn.v_proj.bias": "attn_v.bias",
    "self_attn.o_proj.bias": "attn_output.bias",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
}
OTHER_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def gguf_name(name):
    """The GGUF name of a Hugging Face tensor."""
    if name in OTHER_NAMES:
        return OTHER_NAMES[name]
    layer, rest = name.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{LAYER_NAMES[rest]}"


def hugging_face_name(name):
    """The Hugging Face name of a GGUF tensor; None for rope_freqs.weight, which has none."""
    backwards = {value: key for key, value in OTHER_NAMES.items()}
    if name in backwards:
        return backwards[name]
    if not name.startswith("blk."):
        return None
    layer, rest = name.removeprefix("blk.").split(".", 1)
    backwards = {value: key for key, value in LAYER_NAMES.items()}
    return f"model.layers.{layer}.{backwards[rest]}"


def interleave(rows, heads):
    """Per head of d rows: new row 2i is row i, new row 2i + 1 is row i + d/2."""
    head_dim = rows.shape[0] // heads
    halves = rows.reshape(heads, 2, head_dim // 2, *rows.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(rows.shape)


def deinterleave(rows, heads):
    """The inverse of interleave."""
    head_dim = rows.shape[0] // heads
    pairs = rows.reshape(heads, head_dim // 2, 2, *rows.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)


def head_count(name, heads, key_value_heads):
    """Heads whose rows the converter interleaves in this tensor; 0 where it leaves them alone."""
    if ".q_proj." in name:
        return heads
    return key_value_heads if ".k_proj." in name else 0


def llama3_divisors(scaling, head_dim):
    """rope_freqs.weight [d/2]: what each frequency is divided by."""
    frequencies = scaling["rope_theta"] ** (-np.arange(0, head_dim, 2) / head_dim)
    original = scaling["original_max_position_embeddings"]
    low, high, factor = (scaling[key] for key in ("low_freq_factor", "high_freq_factor", "factor"))
    divisors = []
    for wavelength in 2 * math.pi / frequencies:
        if wavelength < original / high:
            divisors.append(1.0)
        elif wavelength > original / low:
            divisors.append(factor)
        else:
            smooth = (original / wavelength - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(divisors, dtype=np.float32)


def add_sizes(writer, config):
    """Metadata of the architecture. config: a dict with config.json's fields, head_dim included."""
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    if config["head_dim"] * config["num_attention_heads"] != config["hidden_size"]:
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])
    if config["model_type"] == "llama":
        writer.add_vocab_size(config["vocab_size"])
        writer.add_rope_dimension_count(config["head_dim"])


def add_tokenizer(writer, tokens, token_types, merges, pre_tokenizer):
    """A byte-level BPE tokenizer whose ids 1 and 2 are BOS and EOS."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer)
    writer.add_token_list(tokens)
    writer.add_token_types(token_types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)


def add_weights(writer, weights, config, matrix_type):
    """weights: Hugging Face name -> f32 array. Matrices become matrix_type, vectors stay f32."""
    for name, values in weights.items():
        heads = head_count(name, config["num_attention_heads"], config["num_key_value_heads"])
        if heads > 0 and config["model_type"] == "llama":
            values = interleave(values, heads)
        if values.ndim == 2 and matrix_type == gguf.GGMLQuantizationType.F16:
            values = values.astype(np.float16)
        writer.add_tensor(gguf_name(name), values)
