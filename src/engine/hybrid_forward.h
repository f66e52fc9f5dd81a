// A Forward on a card that is too small for the model.
//
// Head, KV cache and attention are on the card; where VRAM does not hold all attention blocks, the
// others are streamed in every step. Every feed-forward is cut into neuron groups, in
// ascending order: the first lie in VRAM; the next in host memory, where the CPU computes them; the
// last in host memory too, and are streamed to the card in every step. All three are at work at the
// same time within a layer, and activations are exchanged once:
//
//   card   norm -> n ----> groups in VRAM and streamed ones: x += ... -----> x += y
//   CPU             \----> its groups: y = ...  ----------------------------/
//   copies  streamed groups of the layers to come, as far ahead as the ring holds
//
// Groups that RAM does not hold either, the last of each layer, are read from disk ahead of the
// copies, and always streamed.
//
// How many rows are worth the CPU's while, and which share it gets, is found by trial. Steps of
// more rows (prompts) leave nothing to it: all groups in host memory are streamed under the
// computation, wave by wave.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "engine/forward.h"
#include "formats/checkpoint.h"
#include "models/load.h"
#include "ops/gpu.h"
#include "plan/card_plan.h"
#include "plan/ram_plan.h"

namespace shoehorn {

struct HybridOptions {
  WorkspaceLimits limits;  // few_rows and wave_neurons are set by the plan
  KvOptions kv;
  Precision precision = Precision::fast;
  uint64_t vram_budget_bytes = 0;  // everything the process may hold on the card
  // And in host memory, pages of mapped files apart. Groups beyond it are kept in a file without a
  // name in the directory `spill`, and read and streamed in every step.
  uint64_t ram_budget_bytes = UINT64_MAX;
  std::filesystem::path spill;
  // Of the groups outside VRAM, the share that is streamed when few rows are computed; the CPU has
  // the others. none: the fastest one found by trial when the model is opened, for each number of
  // rows up to decode_rows.
  std::optional<double> stream_share;
  int64_t decode_rows = 1;  // of the largest decoding step
};

struct CardRequest {
  int gpu = 0;
  HybridOptions hybrid;
  LoadProgress progress;
};
// Opens the card, plans and loads. Errors: the budget, the card, the files; no CUDA in this build.
Result<std::unique_ptr<Forward>> open_on_card(ThreadPool& pool, const Model& model,
                                              const Checkpoint& checkpoint,
                                              const CardRequest& request);

}  // namespace shoehorn
