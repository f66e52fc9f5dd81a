// What goes to the card: everything that must, then as many neuron groups as fit.
#include "plan/card_plan.h"

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "ops/linear.h"

namespace shoehorn {
namespace {

// Copies of at least 16 MiB reach the bus's full rate; products of waves are efficient from some
// thousand neurons.
constexpr uint64_t kSlotBytes = uint64_t{24} << 20;
constexpr int64_t kSlotsPerWave = 2;
constexpr int64_t kMaxSlots = 8;
constexpr uint64_t kMargin = uint64_t{96} << 20;
constexpr uint64_t kAlignment = 256;

// `total` spread over n layers as evenly as whole numbers allow.
int64_t share_of(int64_t total, int64_t layer, int64_t n) {
  return total * (layer + 1) / n - total * layer / n;
}

class CardPlanner {
 public:
  CardPlanner(const ModelInventory& model, const CardTerms& terms)
      : model_(model), budget_(terms.vram_budget_bytes) {
    plan_.context = terms.context_bytes;
    plan_.kv = terms.kv_bytes;
    plan_.limits = terms.limits;
    plan_.margin = kMargin;
    for (const LayerInventory& layer : model.layers) {
      unit_bytes_ = std::max(unit_bytes_, layer.unit_bytes);
      attention_bytes_ = std::max(attention_bytes_, layer.attention_bytes);
    }
  }

  Result<CardPlan> plan() && {
    place_fixed();
    size_slots();
    plan_.attention = attention_bytes_ * static_cast<uint64_t>(layer_count());
    plan_.attention_in_vram.assign(model_.layers.size(), true);
    const int64_t all = most_units() * layer_count();
    // All in VRAM, without a ring; or a ring, and what then fits.
    if (plan_.total() + group_bytes(all) > budget_) {
      place_ring();
      if (plan_.total() > budget_) TRY(stream_attention());
      fill(budget_ - plan_.total(), all);
    } else {
      place_groups(all);
    }
    return std::move(plan_);
  }

 private:
  int64_t layer_count() const { return static_cast<int64_t>(model_.layers.size()); }

  int64_t most_units() const {
    int64_t most = 0;
    for (const LayerInventory& layer : model_.layers) most = std::max(most, layer.units);
    return most;
  }

  void place_fixed() {
    plan_.fixed = model_.head_bytes;
    for (const LayerInventory& layer : model_.layers) {
      plan_.fixed += layer.feed_forward_fixed_bytes;
    }
    plan_.fixed += kAlignment * static_cast<uint64_t>(2 * layer_count() + 2);
  }

  // Slots of the ring, and what is computed at a time, which sizes the workspace.
  void size_slots() {
    const int64_t units = model_.layers.front().units;
    const auto wanted = static_cast<int64_t>((kSlotBytes + unit_bytes_ - 1) / unit_bytes_);
    plan_.slot_groups = std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, units / kSlotsPerWave));
    plan_.slot_bytes = static_cast<uint64_t>(plan_.slot_groups) * unit_bytes_;
    const ModelConfig& config = model_.config;
    plan_.limits.few_rows = kFewRows;
    plan_.limits.wave_neurons =
        plan_.slot_groups * kSlotsPerWave * (config.intermediate_size / units);
    plan_.workspace = workspace_bytes<Gpu>(config, plan_.limits);
    plan_.workspace += static_cast<uint64_t>(
        gpu_linear_scratch_bytes(plan_.limits.wave_neurons, config.hidden_size));
  }

  void place_ring() {
    const int64_t of_layer = (most_units() + plan_.slot_groups - 1) / plan_.slot_groups;
    plan_.slots = std::min<int64_t>(kMaxSlots, 2 * of_layer + 1);
    plan_.ring = static_cast<uint64_t>(plan_.slots) * plan_.slot_bytes;
  }

  // Keeps as many attention blocks in VRAM as fit, spread evenly, beside a ring for the others: one
  // is read while the next arrives.
  Result<void> stream_attention() {
    plan_.attention = 0;
    plan_.attention_ring = 2 * attention_bytes_;
    if (plan_.total() > budget_) {
      return fail(
          "VRAM budget: expected at least {} (context {}, head {}, KV cache {}, workspace {}, "
          "rings {}), found {}; a shorter context, fewer prefill rows or fewer bits need less",
          format_bytes(plan_.total()), format_bytes(plan_.context), format_bytes(plan_.fixed),
          format_bytes(plan_.kv), format_bytes(plan_.workspace),
          format_bytes(plan_.ring + plan_.attention_ring), format_bytes(budget_));
    }
    const auto fitting = static_cast<int64_t>((budget_ - plan_.total()) / attention_bytes_);
    const int64_t staying = std::min(layer_count(), fitting);
    plan_.attention = static_cast<uint64_t>(staying) * attention_bytes_;
    for (int64_t l = 0; l < layer_count(); ++l) {
      plan_.attention_in_vram[static_cast<size_t>(l)] = share_of(staying, l, layer_count()) > 0;
    }
    return {};
  }

  // Of `total` groups spread over the layers, those of one.
  int64_t groups_of(int64_t total, int64_t l) const {
    return std::min(share_of(total, l, layer_count()), model_.layers[static_cast<size_t>(l)].units);
  }

  uint64_t group_bytes(int64_t total) const {
    uint64_t bytes = 0;
    for (int64_t l = 0; l < layer_count(); ++l) {
      bytes += model_.layers[static_cast<size_t>(l)].unit_bytes *
               static_cast<uint64_t>(groups_of(total, l));
    }
    return bytes;
  }

  // As many groups as `room` holds; layers may differ in the bytes of theirs.
  void fill(uint64_t room, int64_t all) {
    int64_t low = 0, high = all;  // group_bytes(low) fits
    while (low < high) {
      const int64_t middle = (low + high + 1) / 2;
      group_bytes(middle) <= room ? low = middle : high = middle - 1;
    }
    place_groups(low);
  }

  void place_groups(int64_t total) {
    plan_.groups = group_bytes(total);
    for (int64_t l = 0; l < layer_count(); ++l) {
      plan_.vram_groups.push_back(groups_of(total, l));
      plan_.host_groups.push_back(model_.layers[static_cast<size_t>(l)].units -
                                  plan_.vram_groups.back());
    }
  }

  const ModelInventory& model_;
  const uint64_t budget_;
  uint64_t unit_bytes_ = 0, attention_bytes_ = 0;  // the largest of all layers
  CardPlan plan_;
};

// Groups of a layer that the ring holds beside those of the next one.
int64_t most_streamed(const CardPlan& plan) {
  return plan.slots / 2 * plan.slot_groups;
}

}  // namespace

int64_t step_rows(const ModelConfig& config, int64_t context, int64_t sequences,
                  uint64_t vram_budget_bytes, int64_t asked) {
  constexpr int64_t kOnHost = 512, kMost = 2048, kLeast = 256, kTypicalWave = 4096;
  constexpr uint64_t kShare = 24;
  const int64_t all = context * sequences;
  if (asked > 0) return std::min(asked, all);
  if (vram_budget_bytes == 0) return std::min(kOnHost, all);
  const WorkspaceLimits limits = {
      .max_context = context, .few_rows = kFewRows, .wave_neurons = kTypicalWave};
  const int64_t rows =
      rows_within<Gpu>(config, limits, std::min(all, kMost), vram_budget_bytes / kShare);
  return std::max(rows, std::min(all, kLeast));
}

Result<CardPlan> plan_card(const ModelInventory& model, const CardTerms& terms) {
  return CardPlanner(model, terms).plan();
}

bool streams_in_waves(const CardPlan& plan, const std::vector<int64_t>& disk_groups) {
  return std::any_of(disk_groups.begin(), disk_groups.end(),
                     [&](int64_t groups) { return groups > most_streamed(plan); });
}

std::vector<GroupCounts> split_layers(const CardPlan& plan, double share,
                                      const std::vector<int64_t>& disk_groups) {
  const bool in_waves = streams_in_waves(plan, disk_groups);
  std::vector<GroupCounts> layers;
  int64_t outside = 0;  // of the layers so far
  for (size_t layer = 0; layer < plan.vram_groups.size(); ++layer) {
    const int64_t host = plan.host_groups[layer];
    const auto streamed_up_to = [&](int64_t groups) {
      return std::lround(static_cast<double>(groups) * share);
    };
    GroupCounts counts = {.vram = plan.vram_groups[layer]};
    counts.stream = std::min<int64_t>(streamed_up_to(outside + host) - streamed_up_to(outside),
                                      most_streamed(plan));
    if (!disk_groups.empty()) counts.stream = std::max(counts.stream, disk_groups[layer]);
    if (in_waves) counts.stream = host;
    counts.cpu = host - counts.stream;
    outside += host;
    layers.push_back(counts);
  }
  return layers;
}

}  // namespace shoehorn
