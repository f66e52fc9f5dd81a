// plan_placement: where every byte of a model goes on a machine, and how fast it then runs. Pure.
//
// Placement. VRAM is spent as the engine spends it (plan/card_plan.h). Each layer's attention is
// placed whole: in VRAM, or in host memory and streamed to the card in every step. Its feed-forward
// is placed in units (neuron groups), in ascending order: first those in VRAM, then those that the
// CPU computes in host memory, then those that are streamed. Where VRAM does not hold head, KV
// cache, workspace and rings, all is computed on the host. The embedding is gathered on the host.
// VRAM is always filled: best while the card reads its memory many times faster than the CPU does
// its own.
//
// Time of a decode step of m rows, V bytes read in VRAM, C by the CPU, S streamed:
//   each layer   attention / Bvram + max((V_ffn + S) / Bvram, C / r(m)) + exchange
//   step         max(sum over layers, S / Bpcie)
//   r(m)         the CPU's bytes a second: Bcpu, less while copies run beside it, less again where
//                m rows make it compute-bound
// The share of units in S is the one that makes this least. Prefill and steps of more than few_rows
// rows leave nothing to the CPU: each chunk of rows streams all of the host under the computation,
//   chunk        max(host bytes / Bpcie, bytes / Bvram, flops / F) + the first copy
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/inventory.h"
#include "plan/card_plan.h"
#include "plan/machine.h"

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
  int64_t few_rows = 16;          // above, host units are streamed and not computed by the CPU
  uint64_t host_overhead_bytes = uint64_t{512} << 20;  // program, workspace and staging on the host
};

// Bytes of one tier by what they are.
struct TierBytes {
  uint64_t overhead = 0;  // context and margin in VRAM; the program in RAM
  uint64_t workspace = 0;
  uint64_t ring = 0;  // of streamed units and attention
  uint64_t embedding = 0;
  uint64_t head = 0;
  uint64_t attention = 0;  // and norms
  uint64_t kv = 0;
  uint64_t units = 0;               // VRAM: resident; RAM: computed by the CPU
  uint64_t streamed = 0;            // RAM: units
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
};
const char* describe(Bound bound);

struct StepTimes {
  double card_s = 0;      // the card at work: reading VRAM or computing
  double cpu_s = 0;       // the CPU at work
  double copy_s = 0;      // the bus at work
  double exchange_s = 0;  // launches, and waiting for each other
  double total_s = 0;
  Bound bound = Bound::host_memory;
};

struct Placement {
  bool uses_card = false;   // else all is on the host
  std::string why_no_card;  // where there is one, and a budget: what does not fit
  uint64_t copy_bytes = 0;  // of one copy of streamed units
  std::vector<LayerPlacement> layers;
  TierBytes vram, ram;

  StepTimes decode;  // a step of batch * rows_per_sequence rows
  // One token a step and sequence: what a verified step accepts beyond that comes on top.
  double decode_tokens_per_s = 0;

  StepTimes prefill;  // of all chunks of one prompt
  double prefill_tokens_per_s = 0;
  double first_token_s = 0;

  int64_t attention(AttentionPlace place) const;  // layers that have it there
  int64_t units(int64_t LayerPlacement::*kind) const;
};

// Errors: what must be in RAM exceeds its budget; says which bytes, by how much, and what would
// fit: fewer bits, a shorter context, more RAM.
Result<Placement> plan_placement(const ModelInventory& model, const MachineProfile& machine,
                                 const Goal& goal);

}  // namespace shoehorn
