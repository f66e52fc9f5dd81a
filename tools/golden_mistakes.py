"""Typical mistakes of an engine, made on purpose: by how much does each move a model's logits?

A golden file is worth little if a wrong engine passes it. Needs: torch, transformers.
"""

import copy

import torch
from transformers.models.llama import modeling_llama
from transformers.models.qwen2 import modeling_qwen2

MODULES = {"llama": modeling_llama, "qwen2": modeling_qwen2}
LEAST = 0.02  # a mistake must move some logit by this
LEAST_TIMES_ROUNDING = 50  # and by this many times what rounding does


class Patched:
    """`module.name` is `value` while the block lasts."""

    def __init__(self, module, name, value):
        self.module, self.name, self.value = module, name, value

    def __enter__(self):
        self.before = getattr(self.module, self.name)
        setattr(self.module, self.name, self.value)

    def __exit__(self, *_):
        setattr(self.module, self.name, self.before)


def no_rope(q, k, cos, sin, *_, **__):
    return q, k


def interleaved_rope(q, k, cos, sin, *_, **__):
    """Turns (x_2i, x_2i+1) where (x_i, x_i+n/2) belong together."""
    half = cos.shape[-1] // 2
    cos, sin = cos[:, None, :, :half], sin[:, None, :, :half]

    def turn(x):
        even, odd = x[..., 0::2], x[..., 1::2]
        return torch.stack([even * cos - odd * sin, odd * cos + even * sin], -1).flatten(-2)
    return turn(q), turn(k)


def backward_rope(apply):
    return lambda q, k, cos, sin, *rest, **named: apply(q, k, cos, -sin, *rest, **named)


def strided_kv(hidden, repeats):
    """Query head a reads key head a mod K instead of a / (H/K)."""
    return hidden.repeat(1, repeats, 1, 1)


def with_rotary(model, frequencies, magnitude, dtype=torch.float32):
    """A copy of the model with these rope frequencies and this factor on cos and sin."""
    changed = copy.deepcopy(model)
    rotary = changed.model.rotary_emb

    def forward(x, position_ids, *_, **__):
        angles = position_ids[0].to(dtype)[:, None] * frequencies.to(dtype)[None]
        angles = torch.cat([angles, angles], -1)[None]
        cos, sin = angles.cos() * magnitude, angles.sin() * magnitude
        return cos.to(torch.float32), sin.to(torch.float32)
    rotary.forward = forward
    return changed


def changed_eps(model, factor):
    changed = copy.deepcopy(model)
    for module in changed.modules():
        if hasattr(module, "variance_epsilon"):
            module.variance_epsilon *= factor
    return changed


def without_biases(model):
    changed = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in changed.named_parameters():
            if name.endswith(".bias"):
                parameter.zero_()
    return changed


def with_scale(model, factor):
    changed = copy.deepcopy(model)
    for layer in changed.model.layers:
        layer.self_attn.scaling *= factor
    return changed


def changed_models(model):
    """Mistakes that are a change of the model."""
    yield "eps times 10", changed_eps(model, 10)
    yield "attention scale times 1.1", with_scale(model, 1.1)
    if any(name.endswith(".bias") for name, _ in model.named_parameters()):
        yield "no biases", without_biases(model)
    parameters = model.config.rope_parameters
    rotary = model.model.rotary_emb
    dimensions = 2 * rotary.inv_freq.numel()
    plain = parameters["rope_theta"] ** (-torch.arange(0, dimensions, 2) / dimensions)
    other_theta = (2 * parameters["rope_theta"]) ** (-torch.arange(0, dimensions, 2) / dimensions)
    yield "theta times 2", with_rotary(model, rotary.inv_freq * other_theta / plain,
                                       rotary.attention_scaling)
    if parameters["rope_type"] != "default":
        yield "no rope scaling", with_rotary(model, plain, 1.0)
    if parameters["rope_type"] in ("llama3", "yarn"):
        yield "all frequencies divided", with_rotary(model, plain / parameters["factor"],
                                                     rotary.attention_scaling)
    if rotary.attention_scaling != 1:
        yield "no yarn magnitude", with_rotary(model, rotary.inv_freq, 1.0)


def patches(model, variant):
    """Mistakes that are a change of the code."""
    module = MODULES[variant.model_type]
    rope = "apply_rotary_pos_emb"
    yield "no rope", Patched(module, rope, no_rope)
    yield "interleaved rope", Patched(module, rope, interleaved_rope)
    yield "backward rope", Patched(module, rope, backward_rope(getattr(module, rope)))
    config = model.config
    if 1 < config.num_key_value_heads < config.num_attention_heads:
        yield "strided key heads", Patched(module, "repeat_kv", strided_kv)


def check(model, variant, logits_of):
    """The largest change of a logit by rounding, and by each mistake. Fails where one is too small.

    Rounding: what changes when RoPE's angles are computed in double instead of float.
    """
    right = logits_of(model)

    def change(logits):
        return float((logits.to(torch.float32) - right).abs().max())
    exact_angles = with_rotary(model, model.model.rotary_emb.inv_freq,
                               model.model.rotary_emb.attention_scaling, torch.float64)
    rounding = change(logits_of(exact_angles))
    mistakes = {name: change(logits_of(changed))
                for name, changed in changed_models(model)}
    for name, patch in patches(model, variant):
        with patch:
            mistakes[name] = change(logits_of(model))
    for name, value in mistakes.items():
        assert value > max(LEAST, LEAST_TIMES_ROUNDING * rounding), (variant.name, name, value)
    return rounding, mistakes
