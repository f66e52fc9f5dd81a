// What goes to the card: everything that must, then as many neuron groups as fit.
#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "engine/hybrid_forward.h"
#include "ops/linear.h"

namespace shoehorn {
namespace {

// Copies of at least 16 MiB reach the bus's full rate; products of waves are efficient from some
// thousand neurons.
constexpr uint64_t kSlotBytes = uint64_t{24} << 20;
constexpr int64_t kSlotsPerWave = 2;
constexpr int64_t kMaxSlots = 8;
// Kernels and library code that the driver loads at first use.
constexpr uint64_t kMargin = uint64_t{96} << 20;

const BlockLayout& feed_forward(const ModelLayout& layout, int64_t layer) {
  return layout.blocks[layout.feed_forward_block(layer)];
}

// Bytes that are on the card whatever the budget.
uint64_t fixed_bytes(const ModelLayout& layout) {
  uint64_t bytes = 0;
  for (int64_t layer = 0; layer < layout.layer_count; ++layer) {
    bytes += layout.blocks[layout.attention_block(layer)].size_bytes;
    bytes += feed_forward(layout, layer).groups.offset;
  }
  const BlockLayout& head = layout.blocks[layout.head_block()];
  bytes += head.size_bytes;
  if (head.find(TensorRole::head) == nullptr) {
    bytes += layout.blocks[layout.embedding_block()].size_bytes;
  }
  return bytes + 256 * static_cast<uint64_t>(2 * layout.layer_count + 2);  // alignment
}

int64_t group_count(const ModelLayout& layout) {
  int64_t count = 0;
  for (int64_t layer = 0; layer < layout.layer_count; ++layer) {
    count += feed_forward(layout, layer).groups.count;
  }
  return count;
}

// `total` spread over n layers as evenly as whole numbers allow.
int64_t share_of(int64_t total, int64_t layer, int64_t n) {
  return total * (layer + 1) / n - total * layer / n;
}

}  // namespace

Result<CardPlan> plan_card(const Model& model, const HybridOptions& options,
                           uint64_t context_bytes) {
  const ModelLayout& layout = model.layout;
  const int64_t n = layout.layer_count;
  const NeuronGroups& groups = feed_forward(layout, 0).groups;
  CardPlan plan = {.context = context_bytes, .fixed = fixed_bytes(layout), .margin = kMargin};
  plan.kv = PagedKv::size_bytes(model.config, options.kv);
  plan.slot_groups = std::clamp<int64_t>(
      static_cast<int64_t>((kSlotBytes + groups.stride_bytes - 1) / groups.stride_bytes), 1,
      std::max<int64_t>(1, groups.count / kSlotsPerWave));
  WorkspaceLimits limits = options.limits;
  limits.few_rows = kFewRows;
  limits.wave_neurons = plan.slot_groups * kSlotsPerWave * groups.neurons;
  plan.workspace = workspace_bytes<Gpu>(model.config, limits);
  plan.workspace += static_cast<uint64_t>(
      gpu_linear_scratch_bytes(limits.wave_neurons, model.config.hidden_size));

  const uint64_t needed = plan.total();
  const uint64_t slot_bytes = static_cast<uint64_t>(plan.slot_groups) * groups.stride_bytes;
  const int64_t all = group_count(layout);
  // All in VRAM, without a ring; or a ring, and what then fits.
  int64_t in_vram = all;
  if (needed + static_cast<uint64_t>(all) * groups.stride_bytes > options.vram_budget_bytes) {
    plan.slots = std::min<int64_t>(kMaxSlots, 2 * ((groups.count + plan.slot_groups - 1) /
                                                   plan.slot_groups) + 1);
    plan.ring = static_cast<uint64_t>(plan.slots) * slot_bytes;
    if (plan.total() > options.vram_budget_bytes) {
      return fail(
          "VRAM budget: expected at least {} (context {}, attention and head {}, KV cache {}, "
          "workspace {}, ring {}), found {}; a shorter context, fewer prefill rows or fewer bits "
          "need less",
          format_bytes(plan.total()), format_bytes(plan.context), format_bytes(plan.fixed),
          format_bytes(plan.kv), format_bytes(plan.workspace), format_bytes(plan.ring),
          format_bytes(options.vram_budget_bytes));
    }
    in_vram = std::min<int64_t>(all, static_cast<int64_t>(
        (options.vram_budget_bytes - plan.total()) / groups.stride_bytes));
  }
  plan.groups = static_cast<uint64_t>(in_vram) * groups.stride_bytes;
  // A layer's streamed groups are on the card together: half the ring at the most.
  const int64_t most_streamed = plan.slots / 2 * plan.slot_groups;
  const auto streamed = static_cast<int64_t>(
      std::lround(static_cast<double>(all - in_vram) * options.stream_share));
  for (int64_t layer = 0; layer < n; ++layer) {
    GroupCounts counts = {.vram = share_of(in_vram, layer, n)};
    const int64_t outside = groups.count - counts.vram;
    counts.stream = std::min({share_of(streamed, layer, n), outside, most_streamed});
    counts.cpu = outside - counts.stream;
    plan.layers.push_back(counts);
  }
  return plan;
}

}  // namespace shoehorn
