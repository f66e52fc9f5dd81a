#!/usr/bin/env python3
"""Makes tests/golden/models/smollm2: what transformers computes with SmolLM2-135M-Instruct.

The weights are those of the 4-bit GGUF that tools/fetch_model.py fetches, dequantized to f32 by the
Python package gguf, so that an engine that computes without further rounding must agree closely.
Needs: torch, transformers, tokenizers, numpy, gguf.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

import hugging_face_gguf

TOOLS = Path(__file__).resolve().parent
OUT = TOOLS.parent / "tests" / "golden" / "models" / "smollm2"
TOP = 64
SAMPLE = 256
GREEDY_TOKENS = 48
LONG_TOKENS = 1200
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
# Context and stride, in tokens.
PERPLEXITY = [(512, 512), (2048, 2048), (512, 256), (1024, 128)]


def metadata(reader, key):
    return reader.fields[key].contents()


def load_model(reader):
    def get(key):
        return metadata(reader, f"llama.{key}")
    heads, key_value_heads = get("attention.head_count"), get("attention.head_count_kv")
    config = transformers.LlamaConfig(
        hidden_size=get("embedding_length"), intermediate_size=get("feed_forward_length"),
        num_hidden_layers=get("block_count"), num_attention_heads=heads,
        num_key_value_heads=key_value_heads, vocab_size=get("vocab_size"),
        max_position_embeddings=get("context_length"), tie_word_embeddings=True,
        # The file's float stands for the decimal number that the model was trained with.
        rms_norm_eps=float(f"{get('attention.layer_norm_rms_epsilon'):.6g}"),
        rope_theta=get("rope.freq_base"), bos_token_id=1, eos_token_id=2,
        attn_implementation="eager")
    weights = {}
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        name = hugging_face_gguf.hugging_face_name(tensor.name)
        interleaved_heads = hugging_face_gguf.head_count(name, heads, key_value_heads)
        if interleaved_heads > 0:
            values = hugging_face_gguf.deinterleave(values, interleaved_heads)
        weights[name] = torch.from_numpy(np.array(values))
    model = transformers.LlamaForCausalLM(config).to(torch.float32).eval()
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert missing == ["lm_head.weight"] and not unexpected, (missing, unexpected)
    model.tie_weights()
    return model


def load_tokenizer(reader):
    tokens = metadata(reader, "tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ")) for merge in metadata(reader, "tokenizer.ggml.merges")]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    types = metadata(reader, "tokenizer.ggml.token_type")
    tokenizer.add_special_tokens([token for token, kind in zip(tokens, types)
                                  if kind == gguf.TokenType.CONTROL])
    return tokenizer


def chat(*turns):
    """The model's own template, with its default system message."""
    text = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
    for role, content in zip(["user", "assistant"] * len(turns), turns):
        text += f"<|im_start|>{role}\n{content}<|im_end|>\n"
    return text + "<|im_start|>assistant\n"


def prompts(text, tokenizer):
    long = tokenizer.encode(text).ids[:LONG_TOKENS]
    texts = {
        "capital": (chat("What is the capital of France?"), 3),
        "conversation": (chat("Hi! My name is Ada.", "Hello Ada! How can I help you today?",
                              "Write two sentences about rivers, then tell me my name."), 1),
    }
    for name, (prompt, rows) in texts.items():
        tokens = tokenizer.encode(prompt).ids
        yield name, prompt, tokens, list(range(len(tokens) - rows, len(tokens)))
    yield "story", None, long, [255, 511, 1023, LONG_TOKENS - 1]


def rounded(values):
    return [round(float(value), 4) for value in values]


def reduced(logits, sample):
    """What is kept of one row of logits [V]."""
    top = torch.topk(logits, TOP)
    return {"top_ids": top.indices.tolist(), "top_logits": rounded(top.values),
            "log_sum_exp": round(float(torch.logsumexp(logits.to(torch.float64), -1)), 5),
            "sample_logits": rounded(logits[sample])}


def greedy(model, tokens):
    """The continuation, and by how much each token's logit leads the next best one's."""
    ids, leads, cache, step = [], [], None, tokens
    with torch.no_grad():
        for _ in range(GREEDY_TOKENS):
            out = model(torch.tensor([step]), past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            best = torch.topk(out.logits[0, -1], 2)
            ids.append(int(best.indices[0]))
            leads.append(float(best.values[0] - best.values[1]))
            if ids[-1] == model.config.eos_token_id:
                break
            step = ids[-1:]
    return ids, leads


def prompt_golden(model, tokenizer, sample, name, text, tokens, positions):
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0]
    ids, leads = greedy(model, tokens)
    rows = [{"position": position, **reduced(logits[position], sample)} for position in positions]
    print(f"{name}: {tokenizer.decode(ids)!r}", file=sys.stderr)
    golden = {"name": name, "tokens": tokens, "rows": rows, "greedy_ids": ids,
              "greedy_leads": rounded(leads), "greedy_text": tokenizer.decode(ids)}
    return golden if text is None else {"name": name, "text": text, **golden}


def mean_nll(model, tokens, context, stride):
    """Windows of `context` tokens begin `stride` apart; each scores what no earlier one has."""
    total, scored, scored_end = 0.0, 0, 1
    for begin in range(0, len(tokens), stride):
        end = min(begin + context, len(tokens))
        window = torch.tensor([tokens[begin:end]])
        with torch.no_grad():
            logits = model(window).logits[0].to(torch.float64)
        losses = torch.nn.functional.cross_entropy(logits[:-1], window[0, 1:], reduction="none")
        first = max(scored_end, begin + 1)  # a window's first token has nothing before it
        kept = losses[first - begin - 1:]
        total, scored, scored_end = total + float(kept.sum()), scored + len(kept), end
        if end == len(tokens):
            break
    return {"context": context, "stride": stride, "scored_tokens": scored,
            "mean_nll": round(total / scored, 6)}


def default_model():
    fetched = subprocess.run([sys.executable, TOOLS / "fetch_model.py"], stdout=subprocess.PIPE,
                             text=True, check=True)
    return Path(fetched.stdout.strip())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("model", type=Path, nargs="?", help="GGUF (default: the default model)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder with text.txt")
    options = parser.parse_args()
    path = options.model or default_model()
    reader = gguf.GGUFReader(path)
    model, tokenizer = load_model(reader), load_tokenizer(reader)
    text = (options.out / "text.txt").read_text(encoding="utf-8")
    generator = torch.Generator().manual_seed(1)
    sample = torch.randperm(model.config.vocab_size, generator=generator)[:SAMPLE].sort().values
    tokens = tokenizer.encode(text).ids
    golden = {
        "model": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "made_with": {"transformers": transformers.__version__, "torch": torch.__version__},
        "sample_ids": sample.tolist(),
        "prompts": [prompt_golden(model, tokenizer, sample, *prompt)
                    for prompt in prompts(text, tokenizer)],
        "text_tokens": tokens,
        "perplexity": [mean_nll(model, tokens, *rule) for rule in PERPLEXITY]}
    print(golden["perplexity"], file=sys.stderr)
    lines = json.dumps(golden, indent=1, ensure_ascii=False)
    # Numbers of a list on one line.
    lines = re.sub(r"\[\s+([-\d.,e\s]+?)\s+\]",
                   lambda match: "[" + re.sub(r"\s+", "", match[1]) + "]", lines)
    (options.out / "goldens.json").write_text(lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
