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

uint64_t largest_attention_block(const ModelLayout& layout) {
  uint64_t largest = 0;
  for (int64_t layer = 0; layer < layout.layer_count; ++layer) {
    largest = std::max(largest, layout.blocks[layout.attention_block(layer)].size_bytes);
  }
  return largest;
}

// Keeps as many attention blocks of `block` bytes in VRAM as fit, spread evenly, beside a ring for
// the others: one is read while the next arrives.
Result<void> stream_attention(CardPlan& plan, uint64_t block, int64_t layers, uint64_t budget) {
  plan.attention = 0;
  plan.attention_ring = 2 * block;
  if (plan.total() > budget) {
    return fail(
        "VRAM budget: expected at least {} (context {}, head {}, KV cache {}, workspace {}, rings "
        "{}), found {}; a shorter context, fewer prefill rows or fewer bits need less",
        format_bytes(plan.total()), format_bytes(plan.context), format_bytes(plan.fixed),
        format_bytes(plan.kv), format_bytes(plan.workspace),
        format_bytes(plan.ring + plan.attention_ring), format_bytes(budget));
  }
  const auto staying = std::min<int64_t>(
      layers, static_cast<int64_t>((budget - plan.total()) / block));
  plan.attention = static_cast<uint64_t>(staying) * block;
  for (int64_t layer = 0; layer < layers; ++layer) {
    plan.attention_in_vram[static_cast<size_t>(layer)] = share_of(staying, layer, layers) > 0;
  }
  return {};
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

  const uint64_t attention_block = largest_attention_block(layout);
  plan.attention = attention_block * static_cast<uint64_t>(n);
  plan.attention_in_vram.assign(static_cast<size_t>(n), true);
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
      TRY(stream_attention(plan, attention_block, n, options.vram_budget_bytes));
    }
    in_vram = std::min<int64_t>(all, static_cast<int64_t>(
        (options.vram_budget_bytes - plan.total()) / groups.stride_bytes));
  }
  plan.groups = static_cast<uint64_t>(in_vram) * groups.stride_bytes;
  for (int64_t layer = 0; layer < n; ++layer) {
    plan.vram_groups.push_back(share_of(in_vram, layer, n));
  }
  return plan;
}

std::vector<GroupCounts> split_layers(const ModelLayout& layout, const CardPlan& plan,
                                      double share) {
  const auto n = static_cast<int64_t>(plan.vram_groups.size());
  const int64_t most_streamed = plan.slots / 2 * plan.slot_groups;
  std::vector<GroupCounts> layers;
  int64_t outside = 0;  // of the layers so far
  for (int64_t layer = 0; layer < n; ++layer) {
    GroupCounts counts = {.vram = plan.vram_groups[layer]};
    const int64_t host = feed_forward(layout, layer).groups.count - counts.vram;
    const auto streamed_up_to = [&](int64_t groups) {
      return std::lround(static_cast<double>(groups) * share);
    };
    counts.stream = std::min<int64_t>(
        streamed_up_to(outside + host) - streamed_up_to(outside), most_streamed);
    counts.cpu = host - counts.stream;
    outside += host;
    layers.push_back(counts);
  }
  return layers;
}

}  // namespace shoehorn
