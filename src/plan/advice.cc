#include "plan/advice.h"

#include <algorithm>

#include "base/bytes.h"
#include "plan/place.h"

namespace shoehorn {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr int64_t kShortestContext = 512;
// Below, what is saved costs too much of the answers to be advised; it can still be what fits.
constexpr int kFewestAdvisedBits = 3;
constexpr int kGroup = 64;

// The model with fewer bits than it has, most first.
struct Requantized {
  int bits;
  ModelInventory model;
};
std::vector<Requantized> with_fewer_bits(const ModelInventory& model) {
  std::vector<Requantized> found;
  for (const int bits : {8, 6, 5, 4, 3, 2}) {
    const Result<Format> format = format_of_bits(bits, kGroup);
    if (!format.ok() || bits_per_weight(*format) > model.bits_per_weight - 0.5) continue;
    Result<ModelInventory> inventory = inventory_at(model.config, *format);
    if (inventory.ok()) found.push_back({bits, std::move(*inventory)});
  }
  return found;
}

std::vector<int64_t> shorter_contexts(const Goal& goal) {
  std::vector<int64_t> contexts;
  for (int64_t context = goal.context / 2; context >= kShortestContext; context /= 2) {
    contexts.push_back(context);
  }
  return contexts;
}

Goal with_context(Goal goal, int64_t context) {
  goal.context = context;
  goal.prompt_tokens = std::min(goal.prompt_tokens, context);
  return goal;
}

void double_rates(std::vector<CopyRate>& rates) {
  for (CopyRate& rate : rates) rate.bytes_per_s *= 2;
}

uint64_t whole_gibibytes(uint64_t bytes) {
  return (bytes + kGiB - 1) / kGiB;
}

// The RAM that would do, with all on disk that can be there.
uint64_t least_ram_gibibytes(const ModelInventory& model, const MachineProfile& machine,
                             Goal goal) {
  goal.ram_budget_bytes = UINT64_MAX;
  uint64_t low = 0, high = whole_gibibytes(place(model, machine, goal).ram.total());
  while (low < high) {
    const uint64_t middle = (low + high) / 2;
    goal.ram_budget_bytes = middle * kGiB;
    fits(place(model, machine, goal), goal) ? high = middle : low = middle + 1;
  }
  return high;
}

// Collects the plans that are faster than what there is.
class Comparison {
 public:
  explicit Comparison(const Placement& now) : now_(now) {}

  void consider(std::string change, const ModelInventory& model, const MachineProfile& machine,
                const Goal& goal) {
    const Placement placement = place(model, machine, goal);
    // A part in a thousand faster is no advice.
    if (!fits(placement, goal) ||
        placement.decode_tokens_per_s < 1.001 * now_.decode_tokens_per_s) {
      return;
    }
    found_.push_back({std::move(change), placement.decode_tokens_per_s, placement.first_token_s});
  }

  std::vector<Alternative> take() {
    std::stable_sort(found_.begin(), found_.end(), [](const Alternative& a, const Alternative& b) {
      return a.decode_tokens_per_s > b.decode_tokens_per_s;
    });
    return std::move(found_);
  }

 private:
  const Placement& now_;
  std::vector<Alternative> found_;
};

void consider_memory(const ModelInventory& model, const MachineProfile& machine, const Goal& goal,
                     const Placement& now, Comparison& comparison) {
  if (now.disk.total() == 0) return;
  Goal more_ram = goal;
  more_ram.ram_budget_bytes = UINT64_MAX;
  more_ram.ram_budget_bytes = place(model, machine, more_ram).ram.total();
  comparison.consider(
      fmt::format("RAM for all weights (--ram {}GiB)", whole_gibibytes(more_ram.ram_budget_bytes)),
      model, machine, more_ram);
  MachineProfile faster_disk = machine;
  faster_disk.disk_bytes_per_s *= 2;
  comparison.consider("a disk of twice the rate", model, faster_disk, goal);
}

void consider_hardware(const ModelInventory& model, const MachineProfile& machine, const Goal& goal,
                       const Placement& now, Comparison& comparison) {
  MachineProfile faster_memory = machine;
  faster_memory.cpu_read_bytes_per_s *= 2;
  faster_memory.cpu_read_beside_copy_bytes_per_s +=
      machine.cpu_read_bytes_per_s;  // what copies take is the same
  comparison.consider("host memory of twice the bandwidth", model, faster_memory, goal);
  if (!machine.has_card() || goal.vram_budget_bytes == 0) return;

  // Where little fits on a card, streaming can take longer than the CPU alone.
  Goal no_card = goal;
  no_card.vram_budget_bytes = 0;
  comparison.consider("the CPU alone (--vram 0)", model, machine, no_card);

  Goal more_vram = goal;
  more_vram.vram_budget_bytes += 8 * kGiB;
  comparison.consider("8 GiB more VRAM", model, machine, more_vram);

  // Layers are computed one after the other, so that two cards double room and links, not the rate
  // at which a layer is read; context, margin and workspace are needed twice.
  MachineProfile two_cards = machine;
  double_rates(two_cards.h2d);
  two_cards.cpu_read_beside_copy_bytes_per_s =
      std::max(machine.cpu_read_bytes_per_s * 0.1,
               2 * machine.cpu_read_beside_copy_bytes_per_s - machine.cpu_read_bytes_per_s);
  Goal two_budgets = goal;
  const uint64_t twice = now.vram.overhead + now.vram.workspace;
  two_budgets.vram_budget_bytes += goal.vram_budget_bytes - std::min(goal.vram_budget_bytes, twice);
  comparison.consider("a second card of the same kind", model, two_cards, two_budgets);

  MachineProfile faster_bus = machine;
  double_rates(faster_bus.h2d);
  comparison.consider("a PCIe link of twice the rate", model, faster_bus, goal);
}

}  // namespace

std::vector<Alternative> alternatives(const ModelInventory& model, const MachineProfile& machine,
                                      const Goal& goal, const Placement& now) {
  Comparison comparison(now);
  for (const Requantized& fewer : with_fewer_bits(model)) {
    if (fewer.bits < kFewestAdvisedBits) continue;
    comparison.consider(fmt::format("{} bits a weight", fewer.bits), fewer.model, machine, goal);
  }
  for (const int64_t context : shorter_contexts(goal)) {
    comparison.consider(fmt::format("a context of {}", context), model, machine,
                        with_context(goal, context));
    break;  // the next shorter one says enough
  }
  consider_hardware(model, machine, goal, now, comparison);
  consider_memory(model, machine, goal, now, comparison);
  return comparison.take();
}

std::string what_would_fit(const ModelInventory& model, const MachineProfile& machine,
                           const Goal& goal) {
  std::vector<std::string> changes;
  changes.push_back(fmt::format("--ram {}GiB", least_ram_gibibytes(model, machine, goal)));

  const std::vector<Requantized> requantized = with_fewer_bits(model);
  for (const Requantized& fewer : requantized) {
    if (!fits(place(fewer.model, machine, goal), goal)) continue;
    changes.push_back(fmt::format("--bits {}", fewer.bits));
    break;
  }
  for (const int64_t context : shorter_contexts(goal)) {
    const Goal shorter = with_context(goal, context);
    if (!fits(place(model, machine, shorter), shorter)) continue;
    changes.push_back(fmt::format("--context {}", context));
    break;
  }
  if (changes.size() == 1) {
    // Neither alone: the mildest pair.
    for (const Requantized& fewer : requantized) {
      for (const int64_t context : shorter_contexts(goal)) {
        const Goal shorter = with_context(goal, context);
        if (changes.size() > 1 || !fits(place(fewer.model, machine, shorter), shorter)) continue;
        changes.push_back(fmt::format("--bits {} --context {}", fewer.bits, context));
      }
    }
  }
  std::string text;
  for (const std::string& change : changes) text += (text.empty() ? "" : "; ") + change;
  return text;
}

}  // namespace shoehorn
