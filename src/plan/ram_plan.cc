#include "plan/ram_plan.h"

#include <algorithm>
#include <numeric>

#include "base/bytes.h"
#include "memory/disk_ring.h"

namespace shoehorn {
namespace {

constexpr uint64_t kPage = 4096;

int64_t share_of(int64_t total, int64_t layer, int64_t n) {
  return total * (layer + 1) / n - total * layer / n;
}

Error too_small(const RamPlan& least, const RamTerms& terms) {
  return fail(
      "RAM budget: expected at least {} (program and workspace {}, embedding and head {}, KV cache "
      "{}, attention {}, feed-forward {}, ring {}), found {}",
      format_bytes(least.total()), format_bytes(least.fixed),
      format_bytes(least.embedding + least.head), format_bytes(least.kv),
      format_bytes(least.attention), format_bytes(least.groups), format_bytes(least.ring),
      format_bytes(terms.ram_budget_bytes));
}

RamPlan fixed_part(const ModelInventory& model, const RamTerms& terms) {
  return {.fixed = terms.fixed_bytes,
          .embedding = model.embedding_bytes,
          .kv = terms.kv_bytes,
          .attention_on_disk = std::vector<bool>(model.layers.size(), false),
          .disk_groups = std::vector<int64_t>(model.layers.size(), 0)};
}

// With so many layers' attention and so many feed-forwards on disk.
RamPlan blocks_on_disk(const ModelInventory& model, const RamTerms& terms, int64_t attention,
                       int64_t feed_forwards) {
  const auto n = static_cast<int64_t>(model.layers.size());
  RamPlan plan = fixed_part(model, terms);
  // The host needs no copy of an embedding that is the head too.
  plan.head = model.head_bytes - (model.config.tie_word_embeddings ? model.embedding_bytes : 0);
  uint64_t largest = 0;
  for (int64_t l = 0; l < n; ++l) {
    const LayerInventory& layer = model.layers[static_cast<size_t>(l)];
    if (share_of(attention, l, n) > 0) {
      plan.attention_on_disk[static_cast<size_t>(l)] = true;
      plan.disk += layer.attention_bytes;
      largest = std::max(largest, layer.attention_bytes);
    } else {
      plan.attention += layer.attention_bytes;
    }
    const uint64_t block = round_up(layer.feed_forward_bytes(), kPage);
    if (share_of(feed_forwards, l, n) > 0) {
      plan.disk_groups[static_cast<size_t>(l)] = layer.units;
      plan.disk += block;
      largest = std::max(largest, block);
    } else {
      plan.groups += block - layer.feed_forward_fixed_bytes;
      plan.attention += layer.feed_forward_fixed_bytes;
    }
  }
  plan.ring = DiskRing::kExtents * largest;
  return plan;
}

// With so many groups on disk, spread over the layers.
RamPlan groups_on_disk(const ModelInventory& model, const CardPlan& card, const RamTerms& terms,
                       int64_t total) {
  const auto n = static_cast<int64_t>(model.layers.size());
  RamPlan plan = fixed_part(model, terms);
  uint64_t largest = 0;
  for (size_t l = 0; l < model.layers.size(); ++l) {
    const LayerInventory& layer = model.layers[l];
    const int64_t on_host = card.host_groups[l];
    const int64_t on_disk = std::min(share_of(total, static_cast<int64_t>(l), n), on_host);
    plan.disk_groups[l] = on_disk;
    if (!card.attention_in_vram[l]) plan.attention += layer.attention_bytes;
    plan.groups += round_up(static_cast<uint64_t>(on_host - on_disk) * layer.unit_bytes, kPage);
    const uint64_t run = round_up(static_cast<uint64_t>(on_disk) * layer.unit_bytes, kPage);
    plan.disk += run;
    largest = std::max(largest, run);
  }
  plan.ring = DiskRing::kExtents * largest;
  return plan;
}

}  // namespace

Result<RamPlan> plan_ram(const ModelInventory& model, const RamTerms& terms) {
  const auto n = static_cast<int64_t>(model.layers.size());
  const auto fits = [&](const RamPlan& plan) { return plan.total() <= terms.ram_budget_bytes; };
  RamPlan least = blocks_on_disk(model, terms, 0, 0);
  if (fits(least)) return least;
  for (int64_t feed_forwards = 0; feed_forwards <= n; ++feed_forwards) {
    RamPlan most = blocks_on_disk(model, terms, n, feed_forwards);
    for (int64_t attention = 0; fits(most) && attention <= n; ++attention) {
      RamPlan plan = blocks_on_disk(model, terms, attention, feed_forwards);
      if (fits(plan)) return plan;
    }
    if (most.total() < least.total()) least = std::move(most);
  }
  return too_small(least, terms);
}

Result<RamPlan> plan_ram(const ModelInventory& model, const CardPlan& card, const RamTerms& terms) {
  const int64_t most = *std::max_element(card.host_groups.begin(), card.host_groups.end());
  const int64_t all = most * static_cast<int64_t>(model.layers.size());
  RamPlan least;
  for (int64_t total = 0; total <= all; ++total) {
    RamPlan plan = groups_on_disk(model, card, terms, total);
    if (plan.total() <= terms.ram_budget_bytes) return plan;
    if (total == 0 || plan.total() < least.total()) least = std::move(plan);
  }
  return too_small(least, terms);
}

}  // namespace shoehorn
