// plan_placement: where every byte of a model goes on a machine, and how fast it then runs. Pure.
//
// Placement. VRAM is spent as the engine spends it (plan/card_plan.h). Each layer's attention is
// placed whole: in VRAM, or in host memory and streamed to the card in every step. Its feed-forward
// is placed in units (neuron groups), in ascending order: first those in VRAM, then those that the
// CPU computes in host memory, then those that are streamed. Where VRAM does not hold head, KV
// cache, workspace and rings, all is computed on the host. The embedding is gathered on the host.
// VRAM is always filled: best while the card reads its memory many times faster than the CPU does
// its own. What RAM does not hold is read from disk in every step (plan/ram_plan.h).
//
// Time. A product of m rows takes what the machine's linear layers took at that size and m
// (linear_seconds); a small kernel between products takes kernel_s. In a step of m rows
//   each layer   card    products of attention, the KV cache read, small kernels; then the units in
//                        VRAM and the streamed ones
//                CPU     its units, beside the card's: slower while copies run, and more rows make
//                        it compute-bound
//                layer   attention + max(card's units, CPU's units + exchange)
//   step         max(sum over layers, bytes streamed / bus) + head
// The share of units that is streamed is the one that makes this least. Where a step has several
// rows, streaming all of them in waves (below) is considered too, as the engine does by trial;
// above kFewRows rows nothing else is done. Prefill: each chunk of rows streams all of the host
// under the computation, wave by wave:
//   chunk        max(products + small kernels' bytes / VRAM + attention, bytes streamed / bus)
//                + what precedes the first product
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/inventory.h"
#include "plan/card_plan.h"
#include "plan/machine.h"
#include "plan/ram_plan.h"

namespace shoehorn {

struct Goal {
  uint64_t vram_budget_bytes = 0;  // everything that the process may hold on the card; 0: none
  uint64_t ram_budget_bytes = 0;   // and in host memory, model files' pages not counted
  int64_t context = 4096;          // tokens of one sequence
  int64_t batch = 1;               // sequences at a time
  DType kv_dtype = DType::f16;
  int64_t prompt_tokens = 512;    // of the sequence that is timed
  int64_t rows_per_sequence = 1;  // tokens verified in one decode step
  int64_t prefill_rows = 512;     // of one chunk
  // Up to so many rows the CPU computes its units whatever the batch; above, if decoding does.
  int64_t few_rows = 16;
  uint64_t host_overhead_bytes = uint64_t{512} << 20;  // program, workspace and staging on the host
};

// Bytes of one tier by what they are.
struct TierBytes {
  uint64_t overhead = 0;  // context and margin in VRAM; the program in RAM
  uint64_t workspace = 0;
  uint64_t ring = 0;  // of streamed units and attention; RAM: of what is read from disk
  uint64_t embedding = 0;
  uint64_t head = 0;
  uint64_t attention = 0;  // and norms
  uint64_t kv = 0;
  uint64_t units = 0;               // VRAM: resident; RAM and disk: computed by the CPU
  uint64_t streamed = 0;            // RAM and disk: units
  uint64_t streamed_attention = 0;  // RAM
  uint64_t total() const {
    return overhead + workspace + ring + embedding + head + attention + kv + units + streamed +
           streamed_attention;
  }
};

// Where a layer's attention is; its KV cache is with what computes it.
enum class AttentionPlace : uint8_t { vram, streamed, host };

struct LayerPlacement {
  AttentionPlace attention = AttentionPlace::vram;
  int64_t vram = 0, cpu = 0, stream = 0;  // units
  int64_t disk = 0;                       // of those of CPU and stream, read from disk
  bool attention_on_disk = false;
  bool operator==(const LayerPlacement&) const = default;
};

// What a step waits for most.
enum class Bound : uint8_t {
  vram_bandwidth,
  tensor_cores,
  host_memory,           // the CPU reading its weights
  host_memory_and_pcie,  // both at the same time
  cpu_compute,
  pcie,
  exchange,  // launches, and exchanges between card and CPU, once a layer
  disk,
};
const char* describe(Bound bound);

struct StepTimes {
  double card_s = 0;      // the card at work: reading VRAM or computing
  double cpu_s = 0;       // the CPU at work
  double copy_s = 0;      // the bus at work
  double exchange_s = 0;  // launches, and waiting for each other
  double disk_s = 0;      // the disk at work
  double total_s = 0;
  Bound bound = Bound::host_memory;
};

struct Placement {
  bool uses_card = false;        // else all is on the host
  std::string why_no_card;       // where there is one, and a budget: what does not fit
  std::string why_no_room;       // where RAM does not hold what must be there
  uint64_t copy_bytes = 0;       // of one copy of streamed units
  int64_t wave_units = 1;        // computed at a time where all units are the card's
  bool decode_in_waves = false;  // nothing is left to the CPU
  std::vector<LayerPlacement> layers;
  TierBytes vram, ram;
  TierBytes disk;  // read in every step

  StepTimes decode;  // a step of batch * rows_per_sequence rows
  // One token a step and sequence: what a verified step accepts beyond that comes on top.
  double decode_tokens_per_s = 0;

  StepTimes prefill;  // of all chunks of one prompt
  double prefill_tokens_per_s = 0;
  double first_token_s = 0;

  int64_t attention(AttentionPlace place) const;  // layers that have it there
  int64_t units(int64_t LayerPlacement::*kind) const;
};

// Errors: what must be in RAM whatever is on disk exceeds its budget; says which bytes, by how
// much, and what would fit: fewer bits, a shorter context, more RAM.
Result<Placement> plan_placement(const ModelInventory& model, const MachineProfile& machine,
                                 const Goal& goal);

}  // namespace shoehorn
