#include "engine/hybrid_weights.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/bytes.h"
#include "base/cuda_check.h"
#include "base/log.h"
#include "memory/spill_file.h"

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

const NeuronGroups& groups_of(const Model& model, int64_t layer) {
  return model.layout.blocks[model.layout.feed_forward_block(layer)].groups;
}

uint64_t host_part(const Model& model, const HybridPlaces& places, int64_t layer) {
  const auto in_ram =
      static_cast<uint64_t>(places.card.host_groups[layer] - places.ram.disk_groups[layer]);
  // Layers are pinned one by one, on pages of their own.
  return round_up(in_ram * groups_of(model, layer).stride_bytes, kPage);
}

uint64_t disk_part(const Model& model, const HybridPlaces& places, int64_t layer) {
  const auto on_disk = static_cast<uint64_t>(places.ram.disk_groups[layer]);
  return round_up(on_disk * groups_of(model, layer).stride_bytes, kPage);
}

// Layers go to the card through two pinned buffers in turn, one filled while the other is copied;
// groups that stay in host memory are written to their place at once, and those on disk to parts of
// the ring in turn. The head comes first and goes through a buffer of its own.
class HybridSink final : public WeightSink {
 public:
  HybridSink(const Model& model, const HybridPlaces& places, HybridWeights& weights)
      : model_(model), places_(places), plan_(places.card), weights_(weights) {}
  ~HybridSink() override {
    if (stream_ == nullptr) return;
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
    for (Staging& staging : staging_) cudaEventDestroy(staging.copied);
  }

  Result<void> open() {
    TRY(cuda_result(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "GPU: a stream"));
    for (Staging& staging : staging_) {
      TRY(cuda_result(cudaEventCreateWithFlags(&staging.copied, cudaEventDisableTiming),
                      "an event"));
      staging.buffer =
          TRY(HostBuffer::create(HybridWeights::staging_bytes(model_, plan_) / 2, "loading"));
      staging.pin = TRY(Pin::create(staging.buffer.bytes()));
    }
    return {};
  }

  Result<BlockTarget> begin(int block) override {
    Staging& staging = staging_[turn_];
    TRY(cuda_result(cudaEventSynchronize(staging.copied), "loading weights"));
    const ModelLayout& layout = model_.layout;
    if (block == layout.embedding_block()) return BlockTarget{.far = weights_.embedding.data()};
    if (block == layout.head_block()) {
      head_ = TRY(HostBuffer::create(card_part(model_, plan_, block), "loading the head"));
      return BlockTarget{.far = head_.data()};
    }
    const int64_t layer = layout.blocks[block].layer;
    BlockTarget target = {.near = staging.buffer.data(),
                          .far = weights_.host_attention[layer],
                          .boundary = card_part(model_, plan_, block)};
    if (block % 2 == 0) return target;
    target.far = weights_.host_layers[layer];
    if (const int64_t on_disk = places_.ram.disk_groups[layer]; on_disk > 0) {
      TRY(written(disk_turn_));
      const NeuronGroups& groups = layout.blocks[block].groups;
      target.last = disk_staging(disk_turn_);
      target.last_boundary =
          groups.offset + static_cast<uint64_t>(groups.count - on_disk) * groups.stride_bytes;
    }
    return target;
  }

  Result<void> end(int block) override {
    const uint64_t bytes = card_part(model_, plan_, block);
    if (block == model_.layout.embedding_block() || block == model_.layout.head_block()) {
      const HostBuffer buffer = std::move(head_);  // gone at the end of this
      const std::byte* from = buffer.data() ? buffer.data() : weights_.embedding.data();
      return cuda_result(
          cudaMemcpy(weights_.card_blocks[block], from, bytes, cudaMemcpyHostToDevice),
          "loading the head");
    }
    if (block % 2 == 1) write_to_disk(model_.layout.blocks[block].layer);
    if (bytes == 0) return {};
    Staging& staging = staging_[turn_];
    TRY(cuda_result(cudaMemcpyAsync(weights_.card_blocks[block], staging.buffer.data(), bytes,
                                    cudaMemcpyHostToDevice, stream_),
                    "loading weights"));
    TRY(cuda_result(cudaEventRecord(staging.copied, stream_), "loading weights"));
    turn_ = 1 - turn_;
    return {};
  }

  Result<void> finish() {
    for (size_t turn = 0; turn < tickets_.size(); ++turn) TRY(written(turn));
    return cuda_result(cudaStreamSynchronize(stream_), "loading weights");
  }

 private:
  std::byte* disk_staging(size_t turn) const {
    return weights_.disk_buffer.data() +
           turn * (weights_.disk_buffer.size_bytes() / tickets_.size());
  }

  void write_to_disk(int64_t layer) {
    const uint64_t bytes = disk_part(model_, places_, layer);
    if (bytes == 0) return;
    tickets_[disk_turn_] = weights_.file->write(disk_end_, {disk_staging(disk_turn_), bytes});
    disk_end_ += bytes;
    disk_turn_ = (disk_turn_ + 1) % tickets_.size();
  }

  Result<void> written(size_t turn) {
    const DiskQueue::Ticket ticket = std::exchange(tickets_[turn], 0);
    if (ticket == 0) return {};
    return weights_.file->wait(ticket);
  }

  struct Staging {
    HostBuffer buffer;
    Pin pin;
    cudaEvent_t copied = nullptr;
  };
  const Model& model_;
  const HybridPlaces& places_;
  const CardPlan& plan_;
  HybridWeights& weights_;
  HostBuffer head_;
  cudaStream_t stream_ = nullptr;
  Staging staging_[2];
  int turn_ = 0;
  std::array<DiskQueue::Ticket, DiskRing::kExtents> tickets_ = {};  // of each part of the ring
  size_t disk_turn_ = 0;
  uint64_t disk_end_ = 0;
};

// The file and the ring, before weights are written to the one through the other.
Result<void> make_disk(const Model& model, const HybridPlaces& places, HybridWeights& weights) {
  std::vector<DiskRing::Extent> extents;
  uint64_t end = 0;
  for (int64_t layer = 0; layer < model.layout.layer_count; ++layer) {
    const uint64_t bytes = disk_part(model, places, layer);
    weights.extents.push_back(bytes > 0 ? static_cast<int64_t>(extents.size()) : -1);
    if (bytes > 0) extents.push_back({.offset = end, .bytes = bytes});
    end += bytes;
  }
  if (end == 0) return {};
  weights.file = TRY(create_spill_file(places.spill, end, {}));
  log_info("{} of weights do not fit into RAM: read from {} in every step", format_bytes(end),
           places.spill.string());
  weights.disk_buffer = TRY(HostBuffer::create(places.ram.ring, "weights read from disk"));
  weights.disk =
      std::make_unique<DiskRing>(*weights.file, std::move(extents), weights.disk_buffer.bytes());
  return {};
}

}  // namespace

uint64_t HybridWeights::staging_bytes(const Model& model, const CardPlan& plan) {
  uint64_t largest = 0;
  for (int b = 0; b < model.layout.embedding_block(); ++b) {
    largest = std::max(largest, card_part(model, plan, b));
  }
  return 2 * largest;
}

uint64_t HybridWeights::card_bytes(const Model& model, const CardPlan& plan) {
  Arena arena;
  for (int b = 0; b < static_cast<int>(model.layout.blocks.size()); ++b) {
    arena.take(card_part(model, plan, b));
  }
  return arena.peak_bytes();
}

Result<HybridWeights> load_hybrid(ThreadPool& pool, const Checkpoint& checkpoint,
                                  const Model& model, const HybridPlaces& places,
                                  const LoadProgress& progress) {
  const ModelLayout& layout = model.layout;
  const CardPlan& plan = places.card;
  HybridWeights weights;
  Arena arena(places.vram);
  for (int b = 0; b < static_cast<int>(layout.blocks.size()); ++b) {
    const uint64_t bytes = card_part(model, plan, b);
    weights.card_blocks.push_back(bytes > 0 ? arena.take(bytes) : nullptr);
  }
  uint64_t host_bytes = 0;
  for (int64_t layer = 0; layer < layout.layer_count; ++layer) {
    host_bytes += host_part(model, places, layer) + host_attention_part(model, plan, layer);
  }
  weights.host = TRY(HostBuffer::create(host_bytes, "weights in host memory"));
  std::byte* at = weights.host.data();
  for (int64_t layer = 0; layer < layout.layer_count; ++layer) {
    weights.host_layers.push_back(at);
    at += host_part(model, places, layer);
    weights.host_attention.push_back(plan.attention_in_vram[layer] ? nullptr : at);
    at += host_attention_part(model, plan, layer);
  }
  weights.embedding =
      TRY(HostBuffer::create(layout.blocks[layout.embedding_block()].size_bytes, "the embedding"));
  TRY(make_disk(model, places, weights));

  HybridSink sink(model, places, weights);
  TRY(sink.open());
  TRY(load_weights(pool, checkpoint, layout, sink, progress));
  TRY(sink.finish());
  for (int64_t layer = 0; layer < layout.layer_count; ++layer) {
    TRY(weights.pin.add({weights.host_layers[layer], host_part(model, places, layer)}));
    TRY(weights.pin.add({weights.host_attention[layer], host_attention_part(model, plan, layer)}));
  }
  TRY(weights.pin.add(weights.disk_buffer.bytes()));
  return weights;
}

}  // namespace shoehorn
