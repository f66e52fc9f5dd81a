#!/usr/bin/env python3
"""Writes a GGUF of a real model's shape with random weights, for measuring speed.

What it says is noise, but every activation stays of order 1. All matrices have the given type, with
one exception that quantizers make too: with Q4_K the head is Q6_K. The tokenizer is SmolLM2's, cut
or padded to the shape's vocabulary. Needs: numpy, gguf.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

import hugging_face_gguf

CHUNK_BLOCKS = 1 << 20


def shape(layers, hidden, heads, key_value_heads, ffn, vocabulary, **more):
    return {"model_type": "llama", "num_hidden_layers": layers, "hidden_size": hidden,
            "num_attention_heads": heads, "num_key_value_heads": key_value_heads,
            "head_dim": hidden // heads, "intermediate_size": ffn, "vocab_size": vocabulary,
            "rms_norm_eps": 1e-5, "tie_word_embeddings": False, **more}


SHAPES = {
    # SmolLM2-135M; Llama-3.2-1B with a vocabulary of 32256; DeepSeek-LLM-7B.
    "smollm2-135m": shape(30, 576, 9, 3, 1536, 49152, rope_theta=1e5, max_position_embeddings=8192,
                          tie_word_embeddings=True),
    "1b": shape(16, 2048, 32, 8, 8192, 32256, rope_theta=5e5, max_position_embeddings=8192),
    "7b": shape(30, 4096, 32, 32, 11008, 102400, rope_theta=1e4, max_position_embeddings=4096,
                rms_norm_eps=1e-6),
}


@dataclass(frozen=True)
class Recipe:
    """How to make one type's blocks: random bytes, then fixed scales.

    With uniform codes, weights are scale * code_std in size; `halves` are f16 fields as (offset in
    the block, factor on the scale), `constants` are (offset, bytes).
    """
    file_type: int  # llama.cpp's number for a file of mostly this type
    code_std: float
    halves: tuple
    constants: tuple = ()


UNIFORM_4_BITS = (16**2 / 12) ** 0.5
RECIPES = {
    Type.Q4_0: Recipe(2, UNIFORM_4_BITS, ((0, 1),)),
    Type.Q4_1: Recipe(3, UNIFORM_4_BITS, ((0, 1), (2, -7.5))),
    Type.Q8_0: Recipe(7, (256**2 / 12) ** 0.5, ((0, 1),)),
    # All eight scales and minimums of a block are 16, in the 6-bit packing of ggml's Q4_K.
    Type.Q4_K: Recipe(14, UNIFORM_4_BITS * 16, ((0, 1), (2, 7.5)),
                      ((4, bytes([80] * 8 + [0] * 4)),)),
    Type.Q6_K: Recipe(18, (64**2 / 12) ** 0.5 * 8, ((208, 1),), ((192, bytes([8] * 16)),)),
}
FILE_TYPE_F16 = 1


def chunks(rows, columns, kind, random):
    """The tensor's bytes, some blocks at a time. Weights deviate by 1/sqrt(columns)."""
    block_elements, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    blocks = rows * columns // block_elements
    deviation = columns**-0.5
    if kind == Type.F16:
        pool = (random.standard_normal(1 << 22, dtype=np.float32) * deviation).astype(np.float16)
        for begin in range(0, blocks, len(pool)):
            yield np.roll(pool, int(random.integers(len(pool))))[:blocks - begin].view(np.uint8)
        return
    recipe = RECIPES[kind]
    for begin in range(0, blocks, CHUNK_BLOCKS):
        count = min(CHUNK_BLOCKS, blocks - begin)
        data = np.frombuffer(random.bytes(count * block_bytes), np.uint8)
        data = data.reshape(count, block_bytes).copy()
        for offset, factor in recipe.halves:
            half = np.array([factor * deviation / recipe.code_std], np.float16).view(np.uint8)
            data[:, offset:offset + 2] = half
        for offset, constant in recipe.constants:
            data[:, offset:offset + len(constant)] = np.frombuffer(constant, np.uint8)
        yield data


def tensors_of(config, kind):
    """(name, shape [out, in], type) of every tensor, in the order of the file."""
    hidden, ffn = config["hidden_size"], config["intermediate_size"]
    key_value = config["num_key_value_heads"] * config["head_dim"]
    tied = config["tie_word_embeddings"]
    head_kind = Type.Q6_K if kind == Type.Q4_K else kind
    yield "token_embd.weight", (config["vocab_size"], hidden), head_kind if tied else kind
    for layer in range(config["num_hidden_layers"]):
        for name, rows, columns in (
                ("attn_q", hidden, hidden), ("attn_k", key_value, hidden),
                ("attn_v", key_value, hidden), ("attn_output", hidden, hidden),
                ("ffn_gate", ffn, hidden), ("ffn_up", ffn, hidden), ("ffn_down", hidden, ffn)):
            yield f"blk.{layer}.{name}.weight", (rows, columns), kind
        for name in ("attn_norm", "ffn_norm"):
            yield f"blk.{layer}.{name}.weight", (hidden,), Type.F32
    yield "output_norm.weight", (hidden,), Type.F32
    if not tied:
        yield "output.weight", (config["vocab_size"], hidden), head_kind


def add_tokenizer(writer, source, vocabulary):
    """The tokenizer of the GGUF `source` with exactly `vocabulary` tokens."""
    reader = gguf.GGUFReader(source)

    def get(key):
        return reader.fields[f"tokenizer.ggml.{key}"].contents()
    tokens, types, merges = get("tokens"), get("token_type"), get("merges")
    missing = range(len(tokens), vocabulary)
    tokens = tokens[:vocabulary] + [f"[PAD{index}]" for index in missing]
    types = types[:vocabulary] + [gguf.TokenType.UNUSED] * len(missing)
    known = set(tokens)
    merges = [merge for merge in merges
              if known.issuperset(merge.split(" ")) and merge.replace(" ", "") in known]
    hugging_face_gguf.add_tokenizer(writer, tokens, types, merges, get("pre"))
    writer.add_chat_template(reader.fields["tokenizer.chat_template"].contents())


def byte_size(dimensions, kind):
    block_elements, block_bytes = gguf.GGML_QUANT_SIZES[kind]
    return int(np.prod(dimensions)) // block_elements * block_bytes


def write(path, shape_name, kind, tokenizer):
    config = SHAPES[shape_name]
    tensors = list(tensors_of(config, kind))
    for name, dimensions, tensor_kind in tensors:
        if dimensions[-1] % gguf.GGML_QUANT_SIZES[tensor_kind][0] != 0:
            sys.exit(f"{name}: {dimensions[-1]} columns are no whole number of {tensor_kind.name} "
                     "blocks")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("model")
    writer.add_name(f"random-{shape_name}-{kind.name.lower()}")
    hugging_face_gguf.add_sizes(writer, config)
    writer.add_file_type(FILE_TYPE_F16 if kind == Type.F16 else RECIPES[kind].file_type)
    add_tokenizer(writer, tokenizer, config["vocab_size"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for name, dimensions, tensor_kind in tensors:
        writer.add_tensor_info(name, dimensions, np.dtype(np.float32),
                               byte_size(dimensions, tensor_kind), raw_dtype=tensor_kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    random = np.random.default_rng(1)
    file = writer.fout[0]
    for _, dimensions, tensor_kind in tensors:
        writer.write_padding(file, file.tell())
        if tensor_kind == Type.F32:
            np.ones(dimensions, np.float32).tofile(file)
            continue
        for chunk in chunks(*dimensions, tensor_kind, random):
            chunk.tofile(file)
    writer.write_padding(file, file.tell())
    file.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("shape", choices=SHAPES)
    kinds = [*(kind.name for kind in RECIPES), "F16"]
    parser.add_argument("type", choices=kinds)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokenizer", type=Path, required=True,
                        help="a SmolLM2 GGUF, such as tools/fetch_model.py fetches")
    options = parser.parse_args()
    write(options.out, options.shape, Type[options.type], options.tokenizer)


if __name__ == "__main__":
    main()
