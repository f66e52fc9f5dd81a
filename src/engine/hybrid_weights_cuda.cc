#include "engine/hybrid_weights.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/cuda_check.h"

namespace shoehorn {
namespace {

constexpr uint64_t kPage = 4096;

// Bytes of a block that are on the card.
uint64_t card_part(const Model& model, const CardPlan& plan, int block) {
  const ModelLayout& layout = model.layout;
  const BlockLayout& b = layout.blocks[block];
  if (block == layout.embedding_block()) {
    return layout.blocks[layout.head_block()].find(TensorRole::head) ? 0 : b.size_bytes;
  }
  if (block == layout.head_block()) return b.size_bytes;
  if (block % 2 == 0) return plan.attention_in_vram[b.layer] ? b.size_bytes : 0;
  const auto vram = static_cast<uint64_t>(plan.vram_groups[b.layer]);
  return b.groups.offset + vram * b.groups.stride_bytes;
}

// Bytes of a layer's groups, and of its attention, that are in host memory.
uint64_t host_attention_part(const Model& model, const CardPlan& plan, int64_t layer) {
  const uint64_t bytes = model.layout.blocks[model.layout.attention_block(layer)].size_bytes;
  return plan.attention_in_vram[layer] ? 0 : bytes;  // blocks are whole pages
}

uint64_t host_part(const Model& model, const CardPlan& plan, int64_t layer) {
  const NeuronGroups& groups = model.layout.blocks[model.layout.feed_forward_block(layer)].groups;
  const auto outside = static_cast<uint64_t>(groups.count - plan.vram_groups[layer]);
  // Layers are pinned one by one, on pages of their own.
  return round_up(outside * groups.stride_bytes, kPage);
}

// Blocks go through two pinned buffers in turn, one filled while the other is copied; groups that
// stay in host memory are written to their place at once.
class HybridSink final : public WeightSink {
 public:
  HybridSink(const Model& model, const CardPlan& plan, HybridWeights& weights)
      : model_(model), plan_(plan), weights_(weights) {}
  ~HybridSink() override {
    if (stream_ == nullptr) return;
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
    for (Staging& staging : staging_) cudaEventDestroy(staging.copied);
  }

  Result<void> open() {
    TRY(cuda_result(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "GPU: a stream"));
    uint64_t largest = 0;
    for (int b = 0; b < static_cast<int>(model_.layout.blocks.size()); ++b) {
      largest = std::max(largest, card_part(model_, plan_, b));
    }
    for (Staging& staging : staging_) {
      TRY(cuda_result(cudaEventCreateWithFlags(&staging.copied, cudaEventDisableTiming),
                      "an event"));
      staging.buffer = TRY(HostBuffer::create(largest, "loading"));
      staging.pin = TRY(Pin::create(staging.buffer.bytes()));
    }
    return {};
  }

  Result<BlockTarget> begin(int block) override {
    Staging& staging = staging_[turn_];
    TRY(cuda_result(cudaEventSynchronize(staging.copied), "loading weights"));
    const ModelLayout& layout = model_.layout;
    if (block == layout.embedding_block()) return BlockTarget{.far = weights_.embedding.data()};
    BlockTarget target = {.near = staging.buffer.data(),
                          .boundary = card_part(model_, plan_, block)};
    if (block != layout.head_block()) {
      const int64_t layer = layout.blocks[block].layer;
      target.far = block % 2 == 1 ? weights_.host_layers[layer] : weights_.host_attention[layer];
    }
    return target;
  }

  Result<void> end(int block) override {
    const uint64_t bytes = card_part(model_, plan_, block);
    if (bytes == 0) return {};
    if (block == model_.layout.embedding_block()) {
      return cuda_result(cudaMemcpy(weights_.card_blocks[block], weights_.embedding.data(), bytes,
                                    cudaMemcpyHostToDevice),
                         "loading the embedding");
    }
    Staging& staging = staging_[turn_];
    TRY(cuda_result(cudaMemcpyAsync(weights_.card_blocks[block], staging.buffer.data(), bytes,
                                    cudaMemcpyHostToDevice, stream_),
                    "loading weights"));
    TRY(cuda_result(cudaEventRecord(staging.copied, stream_), "loading weights"));
    turn_ = 1 - turn_;
    return {};
  }

  Result<void> finish() { return cuda_result(cudaStreamSynchronize(stream_), "loading weights"); }

 private:
  struct Staging {
    HostBuffer buffer;
    Pin pin;
    cudaEvent_t copied = nullptr;
  };
  const Model& model_;
  const CardPlan& plan_;
  HybridWeights& weights_;
  cudaStream_t stream_ = nullptr;
  Staging staging_[2];
  int turn_ = 0;
};

}  // namespace

uint64_t HybridWeights::card_bytes(const Model& model, const CardPlan& plan) {
  Arena arena;
  for (int b = 0; b < static_cast<int>(model.layout.blocks.size()); ++b) {
    arena.take(card_part(model, plan, b));
  }
  return arena.peak_bytes();
}

Result<HybridWeights> load_hybrid(ThreadPool& pool, const Checkpoint& checkpoint,
                                  const Model& model, const CardPlan& plan,
                                  std::span<std::byte> card, const LoadProgress& progress) {
  const ModelLayout& layout = model.layout;
  HybridWeights weights;
  Arena arena(card);
  for (int b = 0; b < static_cast<int>(layout.blocks.size()); ++b) {
    const uint64_t bytes = card_part(model, plan, b);
    weights.card_blocks.push_back(bytes > 0 ? arena.take(bytes) : nullptr);
  }
  uint64_t host_bytes = 0;
  for (int64_t layer = 0; layer < layout.layer_count; ++layer) {
    host_bytes += host_part(model, plan, layer) + host_attention_part(model, plan, layer);
  }
  weights.host = TRY(HostBuffer::create(host_bytes, "weights in host memory"));
  std::byte* at = weights.host.data();
  for (int64_t layer = 0; layer < layout.layer_count; ++layer) {
    weights.host_layers.push_back(at);
    at += host_part(model, plan, layer);
    weights.host_attention.push_back(plan.attention_in_vram[layer] ? nullptr : at);
    at += host_attention_part(model, plan, layer);
  }
  weights.embedding =
      TRY(HostBuffer::create(layout.blocks[layout.embedding_block()].size_bytes, "the embedding"));

  HybridSink sink(model, plan, weights);
  TRY(sink.open());
  TRY(load_weights(pool, checkpoint, layout, sink, progress));
  TRY(sink.finish());
  for (int64_t layer = 0; layer < layout.layer_count; ++layer) {
    TRY(weights.pin.add({weights.host_layers[layer], host_part(model, plan, layer)}));
    TRY(weights.pin.add({weights.host_attention[layer], host_attention_part(model, plan, layer)}));
  }
  return weights;
}

}  // namespace shoehorn
