// A random model small enough that a test can run it thousands of times, made without files.
#pragma once

#include <cmath>
#include <memory>
#include <vector>

#include "base/random.h"
#include "engine/token_path.h"

namespace shoehorn {

inline ModelConfig tiny_config() {
  ModelConfig config;
  config.model_name = "tiny";
  config.num_hidden_layers = 2;
  config.hidden_size = 48;
  config.intermediate_size = 80;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 12;
  config.vocab_size = 101;
  config.max_position_embeddings = 4096;
  config.rms_norm_eps = 1e-5;
  return config;
}

// Adds the slots of a block one after the other, 64 bytes aligned.
class TinyBlock {
 public:
  explicit TinyBlock(int64_t layer) { block_.layer = layer; }
  TinyBlock& add(TensorRole role, int64_t rows, int64_t columns) {
    block_.slots.push_back({role, kF32, rows, columns, block_.size_bytes});
    block_.size_bytes += static_cast<uint64_t>((rows * columns * 4 + 63) / 64 * 64);
    return *this;
  }
  // Gate, up and down as one neuron group.
  TinyBlock& add_group(int64_t neurons, int64_t hidden) {
    block_.groups = {.count = 1, .neurons = neurons, .offset = block_.size_bytes};
    add(TensorRole::gate, neurons, hidden).add(TensorRole::up, neurons, hidden);
    add(TensorRole::down, hidden, neurons);
    block_.groups.stride_bytes = block_.size_bytes - block_.groups.offset;
    return *this;
  }
  BlockLayout take() { return std::move(block_); }

 private:
  BlockLayout block_;
};

inline ModelLayout tiny_layout(const ModelConfig& c) {
  ModelLayout layout;
  layout.layer_count = c.num_hidden_layers;
  for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
    layout.blocks.push_back(TinyBlock(layer)
                                .add(TensorRole::attention_norm, 1, c.hidden_size)
                                .add(TensorRole::query, c.query_size(), c.hidden_size)
                                .add(TensorRole::key, c.key_value_size(), c.hidden_size)
                                .add(TensorRole::value, c.key_value_size(), c.hidden_size)
                                .add(TensorRole::attention_output, c.hidden_size, c.query_size())
                                .take());
    layout.blocks.push_back(TinyBlock(layer)
                                .add(TensorRole::ffn_norm, 1, c.hidden_size)
                                .add_group(c.intermediate_size, c.hidden_size)
                                .take());
  }
  layout.blocks.push_back(
      TinyBlock(0).add(TensorRole::embedding, c.vocab_size, c.hidden_size).take());
  layout.blocks.push_back(TinyBlock(0)
                              .add(TensorRole::final_norm, 1, c.hidden_size)
                              .add(TensorRole::head, c.vocab_size, c.hidden_size)
                              .take());
  layout.offsets.push_back(0);
  for (const BlockLayout& block : layout.blocks) {
    layout.offsets.push_back(layout.offsets.back() + block.size_bytes);
  }
  return layout;
}

// Weights uniform in +-2 / sqrt(columns), norms around 1: activations stay lively through the
// layers.
inline std::unique_ptr<WeightSource> tiny_weights(const ModelLayout& layout, uint64_t seed) {
  Random random(seed);
  HostBuffer buffer = HostBuffer::create(layout.size_bytes(), "a test").value();
  for (size_t b = 0; b < layout.blocks.size(); ++b) {
    for (const WeightSlot& slot : layout.blocks[b].slots) {
      auto* values = reinterpret_cast<float*>(buffer.data() + layout.offsets[b] + slot.offset);
      const bool norm = slot.rows == 1;
      const float spread = norm ? 0.3f : 2.0f / std::sqrt(static_cast<float>(slot.columns));
      for (int64_t i = 0; i < slot.rows * slot.columns; ++i) {
        values[i] = (norm ? 1.0f : 0.0f) + random.uniform(-spread, spread);
      }
    }
  }
  return std::make_unique<ResidentWeights>(std::move(buffer), layout.offsets);
}

inline std::unique_ptr<Model> tiny_model() {
  auto model = std::make_unique<Model>();
  model->config = tiny_config();
  model->layout = tiny_layout(model->config);
  model->rope = model_rope_table(model->config, {});
  return model;
}

struct TinyOptions {
  int64_t max_context = 4096;
  int64_t max_rows = 512;
  KvOptions kv;
};

// An engine on the host. No weights given: tiny_weights of seed 1.
inline std::unique_ptr<Engine> tiny_engine(ThreadPool& pool, std::unique_ptr<Model> model,
                                           const TinyOptions& options,
                                           std::unique_ptr<WeightSource> weights = nullptr) {
  if (weights == nullptr) weights = tiny_weights(model->layout, 1);
  HostForwardOptions host = {.kv = options.kv};
  host.limits = {.max_rows = options.max_rows,
                 .max_context = options.max_context,
                 .thread_count = pool.thread_count()};
  auto forward = make_host_forward(pool, *model, std::move(weights), host).value();
  return std::make_unique<Engine>(std::move(model), std::move(forward),
                                  EngineOptions{.max_context = options.max_context});
}

}  // namespace shoehorn
