#!/usr/bin/env python3
"""Makes tests/golden/models: tiny random models and the logits that transformers computes for them.

Every weight is a multiple of a bf16 step and lies in f16's normal range, so that f32, f16 and bf16
files of a model hold the same numbers. Before anything is written, each model is run with typical
mistakes (no RoPE, wrong pairs, a wrong eps, ...): each must move the logits far more than rounding
does. Needs: torch, transformers, safetensors, tokenizers, numpy, gguf.
"""

import argparse
import copy
import json
import re
import shutil
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

import golden_mistakes
import golden_variants
import hugging_face_gguf

OUT = Path(__file__).resolve().parents[1] / "tests" / "golden" / "models"
SHORT_TOKENS = 17
LONG_TOKENS = 1021
LONG_POSITIONS = [64, 257, 511, 512, 800, LONG_TOKENS - 1]
F8_TILE = 128
F8_MAX = 448.0
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
MERGES = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("i", "n"), ("e", "r"), ("Ġ", "a"), ("o", "n"),
          ("r", "e"), ("a", "n")]
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def exact_in_16_bits(values):
    """Rounded to bf16; what f16 holds only as a subnormal becomes 0."""
    values = values.to(torch.bfloat16).to(torch.float32)
    return torch.where(values.abs() < 2.0**-14, torch.zeros(()), values)


def random_weight(name, shape, generator, variant):
    """Scaled so that attention is far from uniform and the first norm's eps is felt."""
    noise = torch.randn(shape, generator=generator)
    if name.endswith("norm.weight"):
        return (1 + 0.2 * noise) * (variant.final_norm if name == "model.norm.weight" else 1)
    if name.endswith(".bias"):
        return 0.5 * noise
    if "embed_tokens" in name:
        return variant.embedding_std * noise
    gain = {"q_proj": 1.5, "k_proj": 1.5, "lm_head": 2.0}
    factor = next((value for key, value in gain.items() if key in name), 1.0)
    return factor * noise / shape[-1] ** 0.5


def random_weights(model, variant):
    generator = torch.Generator().manual_seed(variant.seed)
    weights = {}
    for name, parameter in model.state_dict().items():
        if name == "lm_head.weight" and variant.config["tie_word_embeddings"]:
            continue
        values = random_weight(name, tuple(parameter.shape), generator, variant)
        weights[name] = exact_in_16_bits(values).contiguous()
    return weights


def f8_tiles(values):
    """Codes and scales of a matrix, and the matrix they stand for: code * scale of its tile, in
    bf16 as loaders do that dequantize to bf16."""
    rows, columns = values.shape
    grid = (-(-rows // F8_TILE), -(-columns // F8_TILE))
    scales = torch.empty(grid)
    for i in range(grid[0]):
        for j in range(grid[1]):
            tile = values[i * F8_TILE:(i + 1) * F8_TILE, j * F8_TILE:(j + 1) * F8_TILE]
            scales[i, j] = tile.abs().max() / F8_MAX
    spread = scales.repeat_interleave(F8_TILE, 0).repeat_interleave(F8_TILE, 1)[:rows, :columns]
    codes = (values / spread).to(torch.float8_e4m3fn)
    rounded = (codes.to(torch.float32) * spread).to(torch.bfloat16)
    return codes, scales, rounded.to(torch.float32)


def stored_tensors(weights, variant):
    """What the files hold; for fp8 also changes `weights` to the values that they stand for."""
    types = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
             "f8_e4m3": torch.bfloat16}
    stored = {}
    for name, values in weights.items():
        if variant.dtype == "f8_e4m3" and name.endswith("_proj.weight"):
            codes, scales, weights[name] = f8_tiles(values)
            stored[name] = codes.contiguous()
            stored[name.replace(".weight", ".weight_scale_inv")] = scales
            continue
        stored[name] = values.to(types[variant.dtype])
        assert torch.equal(stored[name].to(torch.float32), values), name
    return stored


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_safetensors(path, tensors):
    save_file(tensors, path, metadata={"format": "pt"})
    path.chmod(0o644)  # save_file leaves it to its owner alone


def write_shards(folder, tensors, count):
    if count == 1:
        write_safetensors(folder / "model.safetensors", tensors)
        return
    names = list(tensors)
    weight_map = {}
    for shard in range(count):
        file = f"model-{shard + 1:05}-of-{count:05}.safetensors"
        mine = names[shard * len(names) // count:(shard + 1) * len(names) // count]
        write_safetensors(folder / file, {name: tensors[name] for name in mine})
        weight_map.update({name: file for name in mine})
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    write_json(folder / "model.safetensors.index.json",
               {"metadata": {"total_size": total}, "weight_map": weight_map})


def make_tokenizer():
    """Byte-level BPE as SmolLM2 has it: three special tokens, 256 bytes, a few merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = SPECIAL_TOKENS + alphabet + [left + right for left, right in MERGES]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    return tokenizer, tokens


def write_tokenizer(folder):
    # One line: the vocabulary and the merges are long lists.
    text = json.dumps(json.loads(make_tokenizer()[0].to_str()), ensure_ascii=False)
    (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "GPT2Tokenizer", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>",
        "unk_token": "<|endoftext|>", "pad_token": "<|im_end|>", "add_prefix_space": False,
        "chat_template": CHAT_TEMPLATE})


def write_gguf(path, weights, variant, config):
    """config: transformers' own, whose rope_parameters have been normalised."""
    fields = {**variant.config, "model_type": variant.model_type, "head_dim": config.head_dim
              if hasattr(config, "head_dim") else config.hidden_size // config.num_attention_heads,
              "rope_theta": config.rope_parameters["rope_theta"]}
    matrix_type = gguf.GGMLQuantizationType[variant.gguf_type]
    writer = gguf.GGUFWriter(path, variant.model_type)
    writer.add_type("model")
    writer.add_name(variant.name)
    hugging_face_gguf.add_sizes(writer, fields)
    writer.add_file_type({"F32": 0, "F16": 1}[variant.gguf_type])
    tokens = make_tokenizer()[1]
    control, normal, unused = (gguf.TokenType.CONTROL, gguf.TokenType.NORMAL, gguf.TokenType.UNUSED)
    padding = config.vocab_size - len(tokens)
    types = ([control] * len(SPECIAL_TOKENS) + [normal] * (len(tokens) - len(SPECIAL_TOKENS)) +
             [unused] * padding)
    tokens = tokens + [f"[PAD{len(tokens) + i}]" for i in range(padding)]
    hugging_face_gguf.add_tokenizer(writer, tokens, types, [" ".join(pair) for pair in MERGES],
                                    "qwen2" if variant.model_type == "qwen2" else "smollm")
    writer.add_chat_template(CHAT_TEMPLATE)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    if config.rope_parameters["rope_type"] == "llama3":
        divisors = hugging_face_gguf.llama3_divisors(config.rope_parameters, fields["head_dim"])
        writer.add_tensor("rope_freqs.weight", divisors)
    arrays = {name: values.numpy() for name, values in weights.items()}
    hugging_face_gguf.add_weights(writer, arrays, fields, matrix_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def prompts_for(vocab_size):
    generator = torch.Generator().manual_seed(vocab_size)
    return {"short": torch.randint(vocab_size, (SHORT_TOKENS,), generator=generator).tolist(),
            "long": torch.randint(vocab_size, (LONG_TOKENS,), generator=generator).tolist()}


def logits_of(model, prompts):
    """Rows at all positions of the short prompt, then at LONG_POSITIONS of the long one."""
    with torch.no_grad():
        short = model(torch.tensor([prompts["short"]])).logits[0]
        long = model(torch.tensor([prompts["long"]])).logits[0, LONG_POSITIONS]
    return torch.cat([short, long])


def build_model(variant):
    """The config goes through its own text, as a user's would."""
    config_class, model_class = {
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
        "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM)}[variant.model_type]
    fields = copy.deepcopy(variant.config_json())
    fields.pop("quantization_config", None)  # the weights are dequantized here
    config = config_class.from_dict(fields, attn_implementation="eager")
    return model_class(config).to(torch.float32).eval()


def make(variant, out):
    """Writes a model's files and logits; its entry in the manifest."""
    folder = out / variant.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    model = build_model(variant)
    weights = random_weights(model, variant)
    stored = stored_tensors(weights, variant)
    model.load_state_dict(weights, strict=not variant.config["tie_word_embeddings"])
    model.tie_weights()
    write_json(folder / "config.json", variant.config_json())
    write_json(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2})
    write_shards(folder, stored, variant.shards)
    files = [variant.name]
    if variant.tokenizer:
        write_tokenizer(folder)
    if variant.gguf_type:
        write_gguf(out / f"{variant.name}.gguf", weights, variant, model.config)
        files.append(f"{variant.name}.gguf")
    prompts = prompts_for(variant.config["vocab_size"])
    logits = logits_of(model, prompts)
    rounding, mistakes = golden_mistakes.check(model, variant, lambda m: logits_of(m, prompts))
    logits.numpy().astype("<f4").tofile(out / f"{variant.name}.f32")
    return {"name": variant.name, "files": files, "logits": f"{variant.name}.f32",
            "vocab_size": variant.config["vocab_size"],
            "standard_deviation": round(float(logits.std()), 3),
            "rounding": float(f"{rounding:.2g}"),
            "mistakes": {name: float(f"{value:.2g}") for name, value in mistakes.items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    models = [make(variant, options.out) for variant in golden_variants.VARIANTS]
    sizes = sorted({model["vocab_size"] for model in models})
    manifest = {
        "made_with": {"transformers": transformers.__version__, "torch": torch.__version__},
        "prompts": [{"vocab_size": size, **prompts_for(size)} for size in sizes],
        "short_positions": list(range(SHORT_TOKENS)),
        "long_positions": LONG_POSITIONS,
        "models": models}
    text = json.dumps(manifest, indent=1)
    # Numbers of a list on one line.
    text = re.sub(r"\[\s+([-\d,\s]+?)\s+\]", lambda m: "[" + re.sub(r"\s+", "", m[1]) + "]", text)
    (options.out / "goldens.json").write_text(text + "\n")
    for model in models:
        print(model["name"], model["standard_deviation"], model["rounding"], model["mistakes"])
    total = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
    print(f"{total / 1e6:.3f} MB")


if __name__ == "__main__":
    main()
