#include "models/synthetic.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "formats/gguf_writer.h"
#include "formats/tokenizer_alphabet.h"
#include "models/tensor_names.h"
#include "ops/rope.h"

namespace shoehorn {
namespace {

// The numbers of tokenizer.ggml.token_type.
constexpr int32_t kNormal = 1, kControl = 3, kUnused = 5;
constexpr int32_t kFirstByteToken = 3;  // below it are ids that some vocabularies begin with
constexpr double kBiasDeviation = 0.1;

// Roles in plain text, so that the chat needs no tokens of its own.
constexpr const char* kChatTemplate =
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";

enum class Content : uint8_t { random_matrix, random_vector, ones, rope_divisors };

struct PlannedTensor {
  std::string name;
  std::vector<int64_t> shape;
  StoredType type;
  Content content;
};

// All tensors, in the order of the file.
class TensorList {
 public:
  explicit TensorList(StoredType type) : type_(type) {}

  void matrix(TensorRole role, int64_t layer, int64_t rows, int64_t columns) {
    add(role, layer, {rows, columns}, block_type_for(type_, columns), Content::random_matrix);
  }
  void norm(TensorRole role, int64_t layer, int64_t length) {
    add(role, layer, {length}, StoredType::f32, Content::ones);
  }
  void bias(TensorRole role, int64_t layer, int64_t length) {
    add(role, layer, {length}, StoredType::f32, Content::random_vector);
  }
  void rope_divisors(int64_t length) {
    tensors_.push_back({"rope_freqs.weight", {length}, StoredType::f32, Content::rope_divisors});
  }
  std::vector<PlannedTensor> take() { return std::move(tensors_); }

 private:
  void add(TensorRole role, int64_t layer, std::vector<int64_t> shape, StoredType type,
           Content content) {
    tensors_.push_back(
        {tensor_name(TensorNaming::gguf, role, layer), std::move(shape), type, content});
  }

  StoredType type_;
  std::vector<PlannedTensor> tensors_;
};

std::vector<PlannedTensor> tensors_of(const ModelConfig& config, StoredType type) {
  const int64_t h = config.hidden_size, f = config.intermediate_size;
  const int64_t q = config.query_size(), kv = config.key_value_size();
  TensorList list(type);
  list.matrix(TensorRole::embedding, 0, config.vocab_size, h);
  if (config.rope_scaling.type == RopeScalingType::llama3) list.rope_divisors(config.head_dim / 2);
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    list.norm(TensorRole::attention_norm, layer, h);
    list.matrix(TensorRole::query, layer, q, h);
    list.matrix(TensorRole::key, layer, kv, h);
    list.matrix(TensorRole::value, layer, kv, h);
    list.matrix(TensorRole::attention_output, layer, h, q);
    if (config.qkv_bias) {
      list.bias(TensorRole::query_bias, layer, q);
      list.bias(TensorRole::key_bias, layer, kv);
      list.bias(TensorRole::value_bias, layer, kv);
    }
    list.norm(TensorRole::ffn_norm, layer, h);
    list.matrix(TensorRole::gate, layer, f, h);
    list.matrix(TensorRole::up, layer, f, h);
    list.matrix(TensorRole::down, layer, h, f);
  }
  list.norm(TensorRole::final_norm, 0, h);
  if (!config.tie_word_embeddings) list.matrix(TensorRole::head, 0, config.vocab_size, h);
  return list.take();
}

void write_sizes(GgufWriter& writer, const ModelConfig& config) {
  const std::string prefix = name(config.architecture);
  const auto u32 = [&](const char* key, int64_t value) {
    writer.u32(prefix + "." + key, static_cast<uint32_t>(value));
  };
  u32("block_count", config.num_hidden_layers);
  u32("context_length", config.max_position_embeddings);
  u32("embedding_length", config.hidden_size);
  u32("feed_forward_length", config.intermediate_size);
  u32("attention.head_count", config.num_attention_heads);
  u32("attention.head_count_kv", config.num_key_value_heads);
  u32("rope.dimension_count", config.head_dim);
  u32("vocab_size", config.vocab_size);
  writer.f32(prefix + ".rope.freq_base", static_cast<float>(config.rope_theta));
  writer.f32(prefix + ".attention.layer_norm_rms_epsilon", static_cast<float>(config.rms_norm_eps));
}

// Every byte is a token and nothing merges; the rest of the ids is padding that is never sampled.
void write_tokenizer(GgufWriter& writer, const KnownModel& model) {
  const auto count = static_cast<size_t>(model.config.vocab_size);
  std::vector<std::string> tokens(count);
  std::vector<int32_t> types(count, kUnused);
  for (size_t i = 0; i < count; ++i) tokens[i] = fmt::format("[PAD{}]", i);
  const auto set = [&](int32_t id, std::string text, int32_t type) {
    tokens[static_cast<size_t>(id)] = std::move(text);
    types[static_cast<size_t>(id)] = type;
  };
  for (int byte = 0; byte < 256; ++byte) {
    set(kFirstByteToken + byte, byte_token(static_cast<uint8_t>(byte)), kNormal);
  }
  set(model.bos_token_id, model.bos_token, kControl);
  set(model.eos_token_id, model.eos_token, kControl);
  writer.text("tokenizer.ggml.model", "gpt2");
  writer.text("tokenizer.ggml.pre", model.pre_tokenizer);
  writer.texts("tokenizer.ggml.tokens", tokens);
  writer.i32s("tokenizer.ggml.token_type", types);
  writer.texts("tokenizer.ggml.merges", {});
  writer.u32("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(model.bos_token_id));
  writer.u32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(model.eos_token_id));
  writer.u32("tokenizer.ggml.padding_token_id", static_cast<uint32_t>(model.eos_token_id));
  writer.boolean("tokenizer.ggml.add_bos_token", true);
  writer.text("tokenizer.chat_template", kChatTemplate);
}

KnownModel cut(KnownModel model, int64_t layers) {
  if (layers > 0) model.config.num_hidden_layers = layers;
  return model;
}

GgufWriter make_writer(const KnownModel& model, StoredType type,
                       const std::vector<PlannedTensor>& tensors) {
  GgufWriter writer;
  writer.text("general.architecture", name(model.config.architecture));
  writer.text("general.type", "model");
  writer.text("general.name", fmt::format("{} (synthetic, {})", model.name, name(type)));
  writer.u32("general.quantization_version", 2);
  write_sizes(writer, model.config);
  write_tokenizer(writer, model);
  for (const PlannedTensor& tensor : tensors) writer.tensor(tensor.name, tensor.shape, tensor.type);
  return writer;
}

// What GGUF's llama files hold in place of the llama3 scaling's parameters: the divisor of each
// frequency.
std::vector<float> rope_divisors(const ModelConfig& config) {
  const RopeTable plain = rope_table(config.head_dim, config.rope_theta);
  RopeTable scaled = plain;
  scale_llama3(scaled, {.factor = config.rope_scaling.factor,
                        .low_freq_factor = config.rope_scaling.low_freq_factor,
                        .high_freq_factor = config.rope_scaling.high_freq_factor,
                        .original_max_position_embeddings =
                            config.rope_scaling.original_max_position_embeddings});
  std::vector<float> divisors;
  for (size_t i = 0; i < plain.frequencies.size(); ++i) {
    divisors.push_back(static_cast<float>(plain.frequencies[i] / scaled.frequencies[i]));
  }
  return divisors;
}

void copy_floats(const std::vector<float>& values, std::span<std::byte> bytes) {
  const auto source = std::as_bytes(std::span(values));
  CHECK(source.size() == bytes.size(), "{} bytes for {}", bytes.size(), source.size());
  std::copy(source.begin(), source.end(), bytes.begin());
}

void fill(ThreadPool& pool, const ModelConfig& config, const PlannedTensor& tensor, uint64_t seed,
          std::span<std::byte> bytes) {
  switch (tensor.content) {
    case Content::random_matrix:
      // Outputs then deviate as much as inputs do.
      fill_random(pool, tensor.type, 1 / std::sqrt(static_cast<double>(tensor.shape.back())), seed,
                  bytes);
      return;
    case Content::random_vector:
      fill_random(pool, tensor.type, kBiasDeviation, seed, bytes);
      return;
    case Content::ones:
      copy_floats(std::vector<float>(static_cast<size_t>(tensor.shape.front()), 1.0f), bytes);
      return;
    case Content::rope_divisors:
      copy_floats(rope_divisors(config), bytes);
      return;
  }
}

}  // namespace

uint64_t synthetic_bytes(const KnownModel& model, const SyntheticOptions& options) {
  const KnownModel cut_model = cut(model, options.layers);
  return make_writer(cut_model, options.type, tensors_of(cut_model.config, options.type))
      .file_bytes();
}

Result<void> write_synthetic(ThreadPool& pool, const KnownModel& model,
                             const SyntheticOptions& options, const std::filesystem::path& path) {
  if (options.layers < 0 || options.layers > model.config.num_hidden_layers) {
    return fail("layers: expected 1 to {}, which {} has, found {}", model.config.num_hidden_layers,
                model.name, options.layers);
  }
  const KnownModel cut_model = cut(model, options.layers);
  const std::vector<PlannedTensor> tensors = tensors_of(cut_model.config, options.type);
  const GgufWriter writer = make_writer(cut_model, options.type, tensors);
  uint64_t total = 0, done = 0;
  for (size_t i = 0; i < tensors.size(); ++i) total += writer.tensor_bytes(i);
  return writer.write(path, [&](size_t i, std::span<std::byte> bytes) -> Result<void> {
    fill(pool, cut_model.config, tensors[i], options.seed * 1000003 + i, bytes);
    done += bytes.size();
    if (options.progress) options.progress(done, total);
    return {};
  });
}

}  // namespace shoehorn
