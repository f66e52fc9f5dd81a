// Source of the figures: the config.json and tokenizer of each model's repository at
// https://huggingface.co/deepseek-ai (deepseek-llm-*, DeepSeek-R1-Distill-*) and
// https://huggingface.co/HuggingFaceTB (SmolLM2-135M).
#include "models/known_models.h"

#include <array>

#include "formats/quote.h"

namespace shoehorn {
namespace {

// A tokenizer that several models share.
struct Vocabulary {
  const char* pre_tokenizer;
  int32_t bos_token_id, eos_token_id;
  const char* bos_token;
  const char* eos_token;
};
constexpr const char* kBos = "<｜begin▁of▁sentence｜>";
constexpr const char* kEos = "<｜end▁of▁sentence｜>";
constexpr Vocabulary kLlm = {"deepseek-llm", 100000, 100001, kBos, kEos};
constexpr Vocabulary kDistillLlama = {"llama-bpe", 128000, 128001, kBos, kEos};
constexpr Vocabulary kDistillQwen = {"deepseek-r1-qwen", 151646, 151643, kBos, kEos};
constexpr Vocabulary kSmolLm = {"smollm", 1, 2, "<|im_start|>", "<|im_end|>"};

struct Entry {
  const char* name;
  Architecture architecture;
  int64_t num_hidden_layers, hidden_size;
  int64_t num_attention_heads, num_key_value_heads;
  int64_t intermediate_size, vocab_size;
  double rope_theta;
  RopeScalingType scaling;
  int64_t max_position_embeddings;
  double rms_norm_eps;
  bool tie_word_embeddings;
  const Vocabulary* vocabulary;
};

constexpr auto kLlama = Architecture::llama;
constexpr auto kQwen2 = Architecture::qwen2;
constexpr auto kNone = RopeScalingType::none;
constexpr auto kLlama3 = RopeScalingType::llama3;

constexpr std::array<Entry, 9> kModels = {{
    {"deepseek-llm-7b", kLlama, 30, 4096, 32, 32, 11008, 102400, 1e4, kNone, 4096, 1e-6, false,
     &kLlm},
    {"deepseek-llm-67b", kLlama, 95, 8192, 64, 8, 22016, 102400, 1e4, kNone, 4096, 1e-6, false,
     &kLlm},
    {"r1-distill-qwen-1.5b", kQwen2, 28, 1536, 12, 2, 8960, 151936, 1e4, kNone, 131072, 1e-6, false,
     &kDistillQwen},
    {"r1-distill-qwen-7b", kQwen2, 28, 3584, 28, 4, 18944, 152064, 1e4, kNone, 131072, 1e-6, false,
     &kDistillQwen},
    {"r1-distill-llama-8b", kLlama, 32, 4096, 32, 8, 14336, 128256, 5e5, kLlama3, 131072, 1e-5,
     false, &kDistillLlama},
    {"r1-distill-qwen-14b", kQwen2, 48, 5120, 40, 8, 13824, 152064, 1e6, kNone, 131072, 1e-5, false,
     &kDistillQwen},
    {"r1-distill-qwen-32b", kQwen2, 64, 5120, 40, 8, 27648, 152064, 1e6, kNone, 131072, 1e-5, false,
     &kDistillQwen},
    {"r1-distill-llama-70b", kLlama, 80, 8192, 64, 8, 28672, 128256, 5e5, kLlama3, 131072, 1e-5,
     false, &kDistillLlama},
    {"smollm2-135m", kLlama, 30, 576, 9, 3, 1536, 49152, 1e5, kNone, 8192, 1e-5, true, &kSmolLm},
}};

ModelConfig config_of(const Entry& entry) {
  ModelConfig config;
  config.architecture = entry.architecture;
  config.model_name = entry.name;
  config.num_hidden_layers = entry.num_hidden_layers;
  config.hidden_size = entry.hidden_size;
  config.intermediate_size = entry.intermediate_size;
  config.num_attention_heads = entry.num_attention_heads;
  config.num_key_value_heads = entry.num_key_value_heads;
  config.head_dim = entry.hidden_size / entry.num_attention_heads;
  config.vocab_size = entry.vocab_size;
  config.max_position_embeddings = entry.max_position_embeddings;
  config.rms_norm_eps = entry.rms_norm_eps;
  config.rope_theta = entry.rope_theta;
  config.tie_word_embeddings = entry.tie_word_embeddings;
  config.qkv_bias = entry.architecture == Architecture::qwen2;
  if (entry.scaling == RopeScalingType::llama3) {
    config.rope_scaling = {.type = RopeScalingType::llama3,
                           .factor = 8,
                           .original_max_position_embeddings = 8192,
                           .low_freq_factor = 1,
                           .high_freq_factor = 4};
  }
  return config;
}

}  // namespace

std::vector<std::string> known_model_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kModels) names.emplace_back(entry.name);
  return names;
}

Result<KnownModel> known_model(std::string_view name) {
  std::string known;
  for (const Entry& entry : kModels) {
    if (name == entry.name) {
      const Vocabulary& vocabulary = *entry.vocabulary;
      return KnownModel{.name = entry.name,
                        .config = config_of(entry),
                        .pre_tokenizer = vocabulary.pre_tokenizer,
                        .bos_token_id = vocabulary.bos_token_id,
                        .eos_token_id = vocabulary.eos_token_id,
                        .bos_token = vocabulary.bos_token,
                        .eos_token = vocabulary.eos_token};
    }
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  return fail("model {}: expected one of {}", quote(name), known);
}

}  // namespace shoehorn
