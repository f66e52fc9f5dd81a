// The weights of a hybrid model in their places, and the way there from the files.
#pragma once

#include <filesystem>
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
  // On disk: the last groups of layers, one extent a layer; and a ring for them, pinned.
  HostBuffer disk_buffer;
  std::unique_ptr<DiskQueue> file;
  std::unique_ptr<DiskRing> disk;  // null: nothing is on disk
  std::vector<int64_t> extents;    // of each layer; -1: none
  Pin pin;

  static uint64_t card_bytes(const Model& model, const CardPlan& plan);
  // Host memory that loading takes beside all this.
  static uint64_t staging_bytes(const Model& model, const CardPlan& plan);
};

struct HybridPlaces {
  const CardPlan& card;
  const RamPlan& ram;
  std::span<std::byte> vram;    // card_bytes(...) of it
  std::filesystem::path spill;  // the directory for what is on disk
};
Result<HybridWeights> load_hybrid(ThreadPool& pool, const Checkpoint& checkpoint,
                                  const Model& model, const HybridPlaces& places,
                                  const LoadProgress& progress);

}  // namespace shoehorn
