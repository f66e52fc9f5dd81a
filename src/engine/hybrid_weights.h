// The weights of a hybrid model in their places, and the way there from the files.
#pragma once

#include <memory>
#include <vector>

#include "engine/hybrid_forward.h"
#include "memory/gpu_buffer.h"
#include "memory/streamer.h"

namespace shoehorn {

struct HybridWeights {
  // VRAM: blocks one after the other; of a feed-forward, what precedes its groups and those groups
  // that stay.
  std::vector<std::byte*> card_blocks;  // by block; null: not on the card
  // Host memory, pinned: the other groups, layer after layer, and attention blocks that are
  // streamed; the embedding, not pinned.
  HostBuffer host;
  std::vector<std::byte*> host_layers;     // the first group of each layer that is on the host
  std::vector<std::byte*> host_attention;  // of each layer; null: on the card
  HostBuffer embedding;
  Pin pin;

  static uint64_t card_bytes(const Model& model, const CardPlan& plan);
};

// card: card_bytes(...) bytes of VRAM.
Result<HybridWeights> load_hybrid(ThreadPool& pool, const Checkpoint& checkpoint,
                                  const Model& model, const CardPlan& plan,
                                  std::span<std::byte> card, const LoadProgress& progress);

}  // namespace shoehorn
