#include "plan/placement.h"

#include <algorithm>

#include "base/bytes.h"
#include "plan/place.h"
#include "plan/step_times.h"

namespace shoehorn {
namespace {

constexpr int64_t kPageTokens = 64;  // of the KV cache

// `total` spread over n layers as evenly as whole numbers allow.
int64_t share_of(int64_t total, int64_t layer, int64_t n) {
  return total * (layer + 1) / n - total * layer / n;
}

class Placer {
 public:
  Placer(const ModelInventory& model, const MachineProfile& machine, const Goal& goal)
      : model_(model), machine_(machine), goal_(goal) {
    const int64_t pages = (goal.context + kPageTokens - 1) / kPageTokens;
    kv_layer_bytes_ = static_cast<uint64_t>(pages * kPageTokens * goal.batch) *
                      model.kv_bytes_per_layer(goal.kv_dtype);
  }

  Placement on_host() const {
    Placement placement;
    for (const LayerInventory& layer : model_.layers) {
      placement.layers.push_back({.attention_on_host = true, .cpu = layer.units});
    }
    return finish(std::move(placement));
  }

  // Without the head, and a ring for what does not stay, the card is of no use.
  bool card_possible() const {
    return all_fit_on_card() ||
           (machine_.has_card() && goal_.vram_budget_bytes >= fixed_bytes() + goal_.ring_bytes);
  }

  // REQUIRES: card_possible().
  Placement on_card() const {
    if (all_fit_on_card()) return all_on_card();
    Placement placement = with_head_on_card();
    const uint64_t beside_ring = goal_.vram_budget_bytes - fixed_bytes() - goal_.ring_bytes;
    const int64_t card_layers = layers_whose_attention_fits(beside_ring);
    for (int64_t l = 0; l < layer_count(); ++l) {
      placement.layers.push_back({.attention_on_host = l >= card_layers, .cpu = units(l)});
    }
    fill_vram(placement, card_layers, beside_ring - attention_bytes(card_layers));
    share_with_stream(placement, card_layers);
    return finish(std::move(placement));
  }

 private:
  int64_t layer_count() const { return static_cast<int64_t>(model_.layers.size()); }
  int64_t units(int64_t l) const { return layer(l).units; }
  const LayerInventory& layer(int64_t l) const { return model_.layers[static_cast<size_t>(l)]; }

  bool all_fit_on_card() const {
    return machine_.has_card() &&
           fixed_bytes() + attention_bytes(layer_count()) + unit_bytes_of_all() <=
               goal_.vram_budget_bytes;
  }

  // In VRAM whatever else is.
  uint64_t fixed_bytes() const {
    return machine_.context_bytes + goal_.margin_bytes + goal_.workspace_bytes + model_.head_bytes;
  }

  uint64_t attention_bytes(int64_t layers) const {
    uint64_t bytes = 0;
    for (int64_t l = 0; l < layers; ++l) {
      bytes += layer(l).attention_bytes + layer(l).feed_forward_fixed_bytes + kv_layer_bytes_;
    }
    return bytes;
  }

  uint64_t unit_bytes_of_all() const {
    uint64_t bytes = 0;
    for (const LayerInventory& one : model_.layers) {
      bytes += one.unit_bytes * static_cast<uint64_t>(one.units);
    }
    return bytes;
  }

  Placement with_head_on_card() const {
    Placement placement;
    placement.uses_card = true;
    placement.head_on_card = true;
    return placement;
  }

  Placement all_on_card() const {
    Placement placement = with_head_on_card();
    for (const LayerInventory& one : model_.layers) placement.layers.push_back({.vram = one.units});
    return finish(std::move(placement));
  }

  int64_t layers_whose_attention_fits(uint64_t room) const {
    int64_t layers = layer_count();
    while (layers > 0 && attention_bytes(layers) > room) --layers;
    return layers;
  }

  int64_t vram_share(int64_t total, int64_t l, int64_t card_layers) const {
    return std::min(share_of(total, l, card_layers), units(l));
  }

  // As many units as `room` holds, the same number in every layer but for what is left over.
  void fill_vram(Placement& placement, int64_t card_layers, uint64_t room) const {
    if (card_layers == 0) return;
    const auto bytes_of = [&](int64_t total) {
      uint64_t bytes = 0;
      for (int64_t l = 0; l < card_layers; ++l) {
        bytes += layer(l).unit_bytes * static_cast<uint64_t>(vram_share(total, l, card_layers));
      }
      return bytes;
    };
    int64_t most = 0;
    for (int64_t l = 0; l < card_layers; ++l) most = std::max(most, units(l));
    int64_t low = 0, high = most * card_layers;  // bytes_of(low) fits
    while (low < high) {
      const int64_t middle = (low + high + 1) / 2;
      bytes_of(middle) <= room ? low = middle : high = middle - 1;
    }
    for (int64_t l = 0; l < card_layers; ++l) {
      LayerPlacement& placed = placement.layers[static_cast<size_t>(l)];
      placed.vram = vram_share(low, l, card_layers);
      placed.cpu = units(l) - placed.vram;
    }
  }

  void stream(Placement& placement, int64_t card_layers, int64_t total) const {
    for (int64_t l = 0; l < card_layers; ++l) {
      LayerPlacement& placed = placement.layers[static_cast<size_t>(l)];
      const int64_t outside = units(l) - placed.vram;
      // A layer's streamed units are in the ring together, beside those of the next.
      const auto ring = static_cast<int64_t>(goal_.ring_bytes / 2 / layer(l).unit_bytes);
      placed.stream = std::min({share_of(total, l, card_layers), outside, ring});
      placed.cpu = outside - placed.stream;
    }
  }

  // The time of a step first falls and then rises with the units that are streamed: a coarse search
  // that narrows.
  void share_with_stream(Placement& placement, int64_t card_layers) const {
    int64_t outside = 0;
    for (int64_t l = 0; l < card_layers; ++l) {
      outside += placement.layers[static_cast<size_t>(l)].cpu;
    }
    int64_t low = 0, high = outside, best = 0;
    double best_s = decode_times(model_, machine_, goal_, placement).total_s;
    for (int64_t step = std::max<int64_t>(1, outside / 64); step > 0; step /= 8) {
      for (int64_t total = low; total <= high; total += step) {
        stream(placement, card_layers, total);
        const double seconds = decode_times(model_, machine_, goal_, placement).total_s;
        if (seconds < best_s) {
          best_s = seconds;
          best = total;
        }
      }
      low = std::max<int64_t>(0, best - step);
      high = std::min(outside, best + step);
    }
    stream(placement, card_layers, best);
  }

  Placement finish(Placement placement) const {
    placement.ram.overhead = goal_.host_overhead_bytes;
    placement.ram.embedding = model_.embedding_bytes;
    if (placement.uses_card) {
      placement.vram.overhead = machine_.context_bytes + goal_.margin_bytes;
      placement.vram.workspace = goal_.workspace_bytes;
      placement.vram.head = model_.head_bytes;
    } else {
      // The host needs no copy of an embedding that is the head too.
      placement.ram.head =
          model_.head_bytes - (model_.config.tie_word_embeddings ? model_.embedding_bytes : 0);
    }
    for (int64_t l = 0; l < layer_count(); ++l) {
      const LayerPlacement& placed = placement.layers[static_cast<size_t>(l)];
      TierBytes& attention = placed.attention_on_host ? placement.ram : placement.vram;
      attention.attention += layer(l).attention_bytes + layer(l).feed_forward_fixed_bytes;
      attention.kv += kv_layer_bytes_;
      const auto bytes = [&](int64_t count) {
        return layer(l).unit_bytes * static_cast<uint64_t>(count);
      };
      placement.vram.units += bytes(placed.vram);
      placement.ram.units += bytes(placed.cpu);
      placement.ram.streamed += bytes(placed.stream);
    }
    if (placement.uses_card && placement.ram.units + placement.ram.streamed > 0) {
      placement.vram.ring = goal_.ring_bytes;
    }
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
  uint64_t kv_layer_bytes_ = 0;
};

// The parts of a tier that are not empty: "units 21.3 GiB, embedding 426 MiB".
std::string parts_text(const TierBytes& bytes) {
  std::string text;
  const auto part = [&](const char* name, uint64_t size) {
    if (size == 0) return;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, format_bytes(size));
  };
  part("feed-forward", bytes.units + bytes.streamed);
  part("attention", bytes.attention);
  part("head", bytes.head);
  part("embedding", bytes.embedding);
  part("KV cache", bytes.kv);
  part("program and workspace", bytes.overhead + bytes.workspace);
  return text;
}

Error does_not_fit(const ModelInventory& model, const MachineProfile& machine, const Goal& goal,
                   const Placement& placement) {
  const uint64_t needed = placement.ram.total();
  const std::string changes = what_would_fit(model, machine, goal);
  return fail(
      "{} ({}, context {}): host memory: expected at most {}, found {} to place ({}), {} "
      "too much{}{}",
      model.config.model_name, model.weights, goal.context, format_bytes(goal.ram_budget_bytes),
      format_bytes(needed), parts_text(placement.ram), format_bytes(needed - goal.ram_budget_bytes),
      changes.empty() ? "" : "; would fit: ", changes);
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
      return "exchanges between card and CPU";
  }
  return "?";
}

int64_t Placement::host_layers() const {
  return std::count_if(layers.begin(), layers.end(),
                       [](const LayerPlacement& layer) { return layer.attention_on_host; });
}

int64_t Placement::units(int64_t LayerPlacement::*kind) const {
  int64_t count = 0;
  for (const LayerPlacement& layer : layers) count += layer.*kind;
  return count;
}

Placement place(const ModelInventory& model, const MachineProfile& machine, const Goal& goal) {
  const Placer placer(model, machine, goal);
  if (!placer.card_possible()) return placer.on_host();
  Placement card = placer.on_card();
  // A card that holds a part of the attention only can cost more than it gives.
  if (card.host_layers() > 0) {
    Placement host = placer.on_host();
    if (host.decode.total_s < card.decode.total_s && fits(host, goal)) return host;
  }
  return card;
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
