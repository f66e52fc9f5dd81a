"""The tiny models of tests/golden/models: one for each thing that a config.json can change."""

from dataclasses import dataclass, field

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 128,
         "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "tie_word_embeddings": True}
# Room for a byte-level tokenizer and a few padding rows.
WITH_TOKENIZER = {"vocab_size": 272, "tie_word_embeddings": False}


@dataclass
class Variant:
    name: str
    seed: int
    model_type: str = "llama"
    changes: dict = field(default_factory=dict)  # to SMALL; None removes a field
    dtype: str = "bf16"  # of the safetensors: f32, f16, bf16, f8_e4m3
    shards: int = 1
    gguf_type: str = ""  # F32 or F16; "": no GGUF twin
    tokenizer: bool = False

    @property
    def config(self):
        """config.json without its constants."""
        merged = {**SMALL, **self.changes}
        return {key: value for key, value in merged.items() if value is not None}

    @property
    def embedding_std(self):
        """Small, so that eps counts in the first norm; a tied one makes the logits too."""
        if self.config["tie_word_embeddings"]:
            return 0.04
        return 0.02 if self.config["rms_norm_eps"] > 2e-6 else 0.008

    @property
    def final_norm(self):
        return 8.0 if self.config["tie_word_embeddings"] else 1.0

    def config_json(self):
        architecture = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}[self.model_type]
        stored = {"f32": "float32", "f16": "float16"}.get(self.dtype, "bfloat16")
        return {"architectures": [architecture], "model_type": self.model_type,
                "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": stored,
                **self.config}


VARIANTS = [
    Variant("llama", 1, changes={**WITH_TOKENIZER, "num_key_value_heads": 4, "head_dim": None,
                                 "intermediate_size": 48, "rope_theta": 10000.0},
            dtype="f32", shards=3, gguf_type="F32", tokenizer=True),
    Variant("llama-tied", 2, changes={"num_hidden_layers": 3, "intermediate_size": 40}),
    Variant("llama-attention-bias", 3,
            changes={"attention_bias": True, "vocab_size": 272}, dtype="f16", gguf_type="F16"),
    # 4 heads of 24 are wider than the hidden size of 40.
    Variant("llama-gqa", 4,
            changes={"hidden_size": 40, "intermediate_size": 56, "head_dim": 24,
                     "num_key_value_heads": 1, "tie_word_embeddings": False, "rope_theta": 500.0}),
    # The older spelling of scaling, with its older "type".
    Variant("llama-rope-linear", 5,
            changes={"num_hidden_layers": 1, "rope_theta": 100000.0,
                     "rope_scaling": {"type": "linear", "factor": 4.0}}),
    # The newer spelling. Original 64: four of the eight frequencies change, one of them in part.
    Variant("llama-rope-llama3", 6, changes={
        **WITH_TOKENIZER, "rope_parameters": {
            "rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 64}}, gguf_type="F16"),
    # cos and sin are multiplied by (0.1 ln 8 + 1) / (0.0707 ln 8 + 1).
    Variant("llama-rope-yarn", 7, changes={
        "num_hidden_layers": 1, "rope_theta": 10000.0, "max_position_embeddings": 1024,
        "rope_scaling": {
            "rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 128,
            "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 0.707}}),
    # cos and sin are multiplied by 0.1 ln 4 + 1; other ends of the ramp.
    Variant("llama-rope-yarn-defaults", 8, changes={
        "num_hidden_layers": 1, "max_position_embeddings": 1024, "rope_parameters": {
            "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "beta_fast": 8.0,
            "beta_slow": 2.0, "original_max_position_embeddings": 256}}),
    Variant("llama-f8", 9, changes={
        "hidden_size": 160, "num_hidden_layers": 1, "head_dim": 48, "num_key_value_heads": 1,
        "vocab_size": 64, "quantization_config": {
            "quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
            "weight_block_size": [128, 128]}}, dtype="f8_e4m3"),
    Variant("qwen2", 10, model_type="qwen2", changes={
        **WITH_TOKENIZER, "head_dim": None, "hidden_size": 48, "num_hidden_layers": 1,
        "rms_norm_eps": 1e-6, "use_sliding_window": False, "rope_theta": 1e6}, gguf_type="F16"),
    Variant("qwen2-tied", 11, model_type="qwen2",
            changes={"head_dim": None, "rms_norm_eps": 1e-6, "rope_theta": 1e4}),
]
