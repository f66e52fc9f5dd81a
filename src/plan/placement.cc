#include "plan/placement.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/bytes.h"
#include "plan/place.h"
#include "plan/step_times.h"

namespace shoehorn {
namespace {

class Placer {
 public:
  Placer(const ModelInventory& model, const MachineProfile& machine, const Goal& goal)
      : model_(model),
        machine_(machine),
        goal_(goal),
        kv_bytes_(model.kv_cache_bytes(goal.kv_dtype, goal.context, goal.batch)) {}

  Placement best() const {
    if (!machine_.has_card()) return on_host();
    const Result<CardPlan> card = plan_card(model_, terms());
    if (card.ok()) return on_card(*card);
    Placement placement = on_host();
    if (goal_.vram_budget_bytes > 0) placement.why_no_card = card.error().message;
    return placement;
  }

 private:
  size_t layer_count() const { return model_.layers.size(); }

  CardTerms terms() const {
    const int64_t rows = std::max(goal_.prefill_rows, goal_.batch * goal_.rows_per_sequence);
    return {.limits = {.max_rows = std::min(rows, goal_.context * goal_.batch),
                       .max_context = goal_.context},
            .kv_bytes = kv_bytes_,
            .context_bytes = machine_.context_bytes,
            .vram_budget_bytes = goal_.vram_budget_bytes};
  }

  RamTerms ram_terms(uint64_t kv_bytes) const {
    return {.ram_budget_bytes = goal_.ram_budget_bytes,
            .fixed_bytes = goal_.host_overhead_bytes,
            .kv_bytes = kv_bytes};
  }

  // Where the budget holds too little, as if it held all.
  RamPlan or_all_in_ram(Result<RamPlan> ram, Placement& placement) const {
    if (ram.ok()) return std::move(ram).value();
    placement.why_no_room = ram.error().message;
    return {.attention_on_disk = std::vector<bool>(layer_count(), false),
            .disk_groups = std::vector<int64_t>(layer_count(), 0)};
  }

  Placement on_host() const {
    Placement placement;
    placement.ram.overhead = goal_.host_overhead_bytes;
    placement.ram.embedding = model_.embedding_bytes;
    // The host needs no copy of an embedding that is the head too.
    placement.ram.head =
        model_.head_bytes - (model_.config.tie_word_embeddings ? model_.embedding_bytes : 0);
    placement.ram.kv = kv_bytes_;
    const RamPlan ram = or_all_in_ram(plan_ram(model_, ram_terms(kv_bytes_)), placement);
    placement.ram.ring = ram.ring;
    for (size_t l = 0; l < layer_count(); ++l) {
      const LayerInventory& layer = model_.layers[l];
      placement.layers.push_back({.attention = AttentionPlace::host,
                                  .cpu = layer.units,
                                  .disk = ram.disk_groups[l],
                                  .attention_on_disk = ram.attention_on_disk[l]});
      // Blocks are on disk whole.
      TierBytes& attention = ram.attention_on_disk[l] ? placement.disk : placement.ram;
      TierBytes& units = ram.disk_groups[l] > 0 ? placement.disk : placement.ram;
      attention.attention += layer.attention_bytes;
      units.attention += layer.feed_forward_fixed_bytes;
      units.units += layer.unit_bytes * static_cast<uint64_t>(layer.units);
    }
    return timed(std::move(placement));
  }

  Placement on_card(const CardPlan& card) const {
    Placement placement;
    placement.uses_card = true;
    placement.copy_bytes = card.slot_bytes;
    placement.wave_units =
        std::max<int64_t>(1, card.limits.wave_neurons * model_.layers.front().units /
                                 model_.config.intermediate_size);
    placement.vram = {.overhead = card.context + card.margin,
                      .workspace = card.workspace,
                      .ring = card.ring + card.attention_ring,
                      .head = model_.head_bytes,
                      .attention = card.fixed - model_.head_bytes + card.attention,
                      .kv = card.kv,
                      .units = card.groups};
    placement.ram.overhead = goal_.host_overhead_bytes;
    placement.ram.embedding = model_.embedding_bytes;
    const RamPlan ram = or_all_in_ram(plan_ram(model_, card, ram_terms(0)), placement);
    placement.ram.ring = ram.ring;
    for (size_t l = 0; l < layer_count(); ++l) {
      const bool stays = card.attention_in_vram[l];
      placement.layers.push_back(
          {.attention = stays ? AttentionPlace::vram : AttentionPlace::streamed,
           .disk = ram.disk_groups[l]});
      if (!stays) placement.ram.streamed_attention += model_.layers[l].attention_bytes;
    }
    share_with_stream(placement, card, ram.disk_groups);
    for (size_t l = 0; l < layer_count(); ++l) {
      const LayerPlacement& placed = placement.layers[l];
      const uint64_t unit = model_.layers[l].unit_bytes;
      placement.ram.units += unit * static_cast<uint64_t>(placed.cpu);
      placement.ram.streamed += unit * static_cast<uint64_t>(placed.stream - placed.disk);
      placement.disk.streamed += unit * static_cast<uint64_t>(placed.disk);
    }
    return timed(std::move(placement));
  }

  void stream(Placement& placement, const CardPlan& card, double share,
              const std::vector<int64_t>& on_disk) const {
    const std::vector<GroupCounts> counts = split_layers(card, share, on_disk);
    for (size_t l = 0; l < layer_count(); ++l) {
      LayerPlacement& placed = placement.layers[l];
      placed.vram = counts[l].vram;
      placed.cpu = counts[l].cpu;
      placed.stream = counts[l].stream;
    }
  }

  // The time of a step first falls and then rises with the units that are streamed: a coarse search
  // that narrows.
  void share_with_stream(Placement& placement, const CardPlan& card,
                         const std::vector<int64_t>& on_disk) const {
    const int64_t outside =
        std::accumulate(card.host_groups.begin(), card.host_groups.end(), int64_t{0});
    const auto share = [&](int64_t streamed) {
      return static_cast<double>(streamed) / static_cast<double>(std::max<int64_t>(1, outside));
    };
    placement.decode_in_waves = streams_in_waves(card, on_disk);
    stream(placement, card, 0, on_disk);
    int64_t low = 0, high = outside, best = 0;
    double best_s = decode_times(model_, machine_, goal_, placement).total_s;
    for (int64_t step = std::max<int64_t>(1, outside / 64); step > 0; step /= 8) {
      for (int64_t streamed = low; streamed <= high; streamed += step) {
        stream(placement, card, share(streamed), on_disk);
        const double seconds = decode_times(model_, machine_, goal_, placement).total_s;
        if (seconds < best_s) {
          best_s = seconds;
          best = streamed;
        }
      }
      low = std::max<int64_t>(0, best - step);
      high = std::min(outside, best + step);
    }
    stream(placement, card, share(best), on_disk);
    if (goal_.batch * goal_.rows_per_sequence > 1) consider_waves(placement, best_s);
  }

  // Nothing for the CPU, as steps of many rows.
  void consider_waves(Placement& placement, double best_s) const {
    Placement waves = placement;
    waves.decode_in_waves = true;
    for (LayerPlacement& layer : waves.layers) layer.stream += std::exchange(layer.cpu, 0);
    if (decode_times(model_, machine_, goal_, waves).total_s < best_s) placement = std::move(waves);
  }

  Placement timed(Placement placement) const {
    placement.decode = decode_times(model_, machine_, goal_, placement);
    placement.decode_tokens_per_s = static_cast<double>(goal_.batch) / placement.decode.total_s;
    placement.prefill = prefill_times(model_, machine_, goal_, placement);
    placement.first_token_s = placement.prefill.total_s;
    placement.prefill_tokens_per_s =
        static_cast<double>(goal_.prompt_tokens) / placement.prefill.total_s;
    return placement;
  }

  const ModelInventory& model_;
  const MachineProfile& machine_;
  const Goal& goal_;
  const uint64_t kv_bytes_;
};

Error does_not_fit(const ModelInventory& model, const MachineProfile& machine, const Goal& goal,
                   const Placement& placement) {
  const std::string changes = what_would_fit(model, machine, goal);
  return fail("{} ({}, context {}): {}{}{}", model.config.model_name, model.weights, goal.context,
              placement.why_no_room, changes.empty() ? "" : "; would fit: ", changes);
}

}  // namespace

const char* describe(Bound bound) {
  switch (bound) {
    case Bound::vram_bandwidth:
      return "the card's memory bandwidth";
    case Bound::tensor_cores:
      return "the card's arithmetic";
    case Bound::host_memory:
      return "host memory bandwidth";
    case Bound::host_memory_and_pcie:
      return "host memory bandwidth and PCIe together";
    case Bound::cpu_compute:
      return "the CPU's arithmetic";
    case Bound::pcie:
      return "PCIe";
    case Bound::exchange:
      return "launches and exchanges";
    case Bound::disk:
      return "the disk";
  }
  return "?";
}

int64_t Placement::attention(AttentionPlace place) const {
  return std::count_if(layers.begin(), layers.end(),
                       [&](const LayerPlacement& layer) { return layer.attention == place; });
}

int64_t Placement::units(int64_t LayerPlacement::*kind) const {
  int64_t count = 0;
  for (const LayerPlacement& layer : layers) count += layer.*kind;
  return count;
}

Placement place(const ModelInventory& model, const MachineProfile& machine, const Goal& goal) {
  return Placer(model, machine, goal).best();
}

Result<Placement> plan_placement(const ModelInventory& model, const MachineProfile& machine,
                                 const Goal& goal) {
  CHECK(goal.context > 0 && goal.batch > 0 && goal.prompt_tokens > 0 && goal.rows_per_sequence > 0,
        "a goal of {} tokens, {} sequences", goal.context, goal.batch);
  Placement placement = place(model, machine, goal);
  if (!fits(placement, goal)) return does_not_fit(model, machine, goal, placement);
  return placement;
}

}  // namespace shoehorn
