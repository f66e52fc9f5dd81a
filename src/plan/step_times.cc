#include "plan/step_times.h"

#include <algorithm>

namespace shoehorn {
namespace {

// Work of one processor in one part of a step: bytes to read and operations to do.
struct Work {
  double bytes = 0;
  double flops = 0;
  Work& operator+=(const Work& other) {
    bytes += other.bytes;
    flops += other.flops;
    return *this;
  }
};

Work matrices(double bytes, double parameters, double rows) {
  return {bytes, 2 * parameters * rows};
}

// Reading and computing overlap.
struct Rates {
  double bytes_per_s = 1;
  double flops_per_s = 1;
  double seconds(const Work& work) const {
    return std::max(work.bytes / bytes_per_s, work.flops / flops_per_s);
  }
  bool compute_bound(const Work& work) const {
    return work.flops / flops_per_s > work.bytes / bytes_per_s;
  }
};

// A step of some rows: `cached` tokens read in all sequences, `scores` products of a query with a
// key and with a value.
struct Rows {
  double count = 1;
  double cached = 0;
  double scores = 0;
};

class StepClock {
 public:
  StepClock(const ModelInventory& model, const MachineProfile& machine, const Goal& goal,
            const Placement& placement)
      : model_(model), machine_(machine), goal_(goal), placement_(placement) {
    card_ = {machine.vram_bytes_per_s, machine.tensor_flops_per_s};
    cpu_ = {machine.cpu_read_bytes_per_s, machine.cpu_linear_flops_per_s};
    copy_bytes_per_s_ = std::max(1.0, rate_at(machine.h2d, placement.copy_bytes));
  }

  // Card and CPU compute their own units; `stream` units and streamed attention are copied.
  void shared_step(const Rows& rows) {
    slow_cpu_beside_copies();
    double chain = 0, copies = 0;
    for (size_t l = 0; l < model_.layers.size(); ++l) {
      const LayerPlacement& placed = placement_.layers[l];
      chain += attention_seconds(l, rows);
      const Work on_card = units(l, placed.vram + placed.stream, rows.count);
      const Work on_cpu = units(l, placed.cpu, rows.count);
      chain += std::max(on_card.bytes > 0 ? spend_card(on_card) : 0.0, spend_cpu(on_cpu));
      copies += (unit_bytes(l, placed.stream) + streamed_attention(l)) / copy_bytes_per_s_;
      if (placement_.uses_card) {
        times_.exchange_s += machine_.layer_exchange_s;
        chain += machine_.layer_exchange_s;
      }
    }
    finish(chain, copies);
  }

  // All units of the host are streamed; nothing is left to the CPU.
  void streamed_step(const Rows& rows) {
    double chain = 0, copies = 0;
    for (size_t l = 0; l < model_.layers.size(); ++l) {
      const LayerPlacement& placed = placement_.layers[l];
      chain += attention_seconds(l, rows);
      chain += spend_card(units(l, model_.layers[l].units, rows.count));
      const double units_of_host = unit_bytes(l, placed.cpu + placed.stream);
      copies += (units_of_host + streamed_attention(l)) / copy_bytes_per_s_;
    }
    finish(chain, copies);
  }

  void any_step(const Rows& rows) {
    const bool many = rows.count > static_cast<double>(goal_.few_rows);
    many&& placement_.uses_card ? streamed_step(rows) : shared_step(rows);
  }

  void first_copy() {
    if (!placement_.uses_card || placement_.vram.ring == 0) return;
    times_.total_s += static_cast<double>(placement_.copy_bytes) / copy_bytes_per_s_;
  }

  void head(double rows) {
    const Work work = matrices(static_cast<double>(model_.head_bytes),
                               static_cast<double>(model_.head_parameters), rows);
    times_.total_s += placement_.uses_card ? spend_card(work) : spend_cpu(work);
  }

  StepTimes take() {
    times_.bound = bound();
    return times_;
  }

 private:
  // For as long as copies run beside the CPU's reading, it reads slower.
  void slow_cpu_beside_copies() {
    double streamed = 0, read = 0;
    for (size_t l = 0; l < model_.layers.size(); ++l) {
      streamed += unit_bytes(l, placement_.layers[l].stream) + streamed_attention(l);
      read += unit_bytes(l, placement_.layers[l].cpu);
    }
    if (streamed == 0 || read == 0) return;
    const double alone = machine_.cpu_read_bytes_per_s;
    const double beside = machine_.cpu_read_beside_copy_bytes_per_s;
    const double together_s = std::min(streamed / copy_bytes_per_s_, read / beside);
    cpu_.bytes_per_s = read / (read / alone + together_s * (1 - beside / alone));
  }

  double unit_bytes(size_t layer, int64_t count) const {
    return static_cast<double>(model_.layers[layer].unit_bytes) * static_cast<double>(count);
  }

  double streamed_attention(size_t layer) const {
    const bool streamed = placement_.layers[layer].attention == AttentionPlace::streamed;
    return streamed ? static_cast<double>(model_.layers[layer].attention_bytes) : 0;
  }

  Work units(size_t layer, int64_t count, double rows) const {
    return matrices(
        unit_bytes(layer, count),
        static_cast<double>(model_.layers[layer].unit_parameters) * static_cast<double>(count),
        rows);
  }

  double attention_seconds(size_t l, const Rows& rows) {
    const LayerInventory& layer = model_.layers[l];
    const double kv = static_cast<double>(model_.kv_bytes_per_layer(goal_.kv_dtype));
    Work work =
        matrices(static_cast<double>(layer.attention_bytes + layer.feed_forward_fixed_bytes),
                 static_cast<double>(layer.attention_parameters), rows.count);
    // A query head's product with a key, and that of its weight with a value.
    work += {rows.cached * kv, 4 * static_cast<double>(model_.config.query_size()) * rows.scores};
    return placement_.uses_card ? spend_card(work) : spend_cpu(work);
  }

  double spend_card(const Work& work) {
    card_work_ += work;
    const double seconds = card_.seconds(work);
    times_.card_s += seconds;
    return seconds;
  }
  double spend_cpu(const Work& work) {
    cpu_work_ += work;
    const double seconds = cpu_.seconds(work);
    times_.cpu_s += seconds;
    return seconds;
  }

  void finish(double chain, double copies) {
    times_.copy_s += copies;
    times_.total_s += std::max(chain, copies);
  }

  Bound bound() const {
    const double all = times_.total_s;
    const bool cpu_computes = cpu_.compute_bound(cpu_work_);
    if (times_.copy_s >= 0.8 * all && times_.cpu_s >= 0.6 * all) {
      return cpu_computes ? Bound::cpu_compute : Bound::host_memory_and_pcie;
    }
    const double most = std::max({times_.card_s, times_.cpu_s, times_.copy_s, times_.exchange_s});
    if (times_.copy_s == most) return Bound::pcie;
    if (times_.cpu_s == most) return cpu_computes ? Bound::cpu_compute : Bound::host_memory;
    if (times_.exchange_s == most) return Bound::exchange;
    return card_.compute_bound(card_work_) ? Bound::tensor_cores : Bound::vram_bandwidth;
  }

  const ModelInventory& model_;
  const MachineProfile& machine_;
  const Goal& goal_;
  const Placement& placement_;
  Rates card_, cpu_;
  double copy_bytes_per_s_ = 1;
  Work card_work_, cpu_work_;
  StepTimes times_;
};

}  // namespace

StepTimes decode_times(const ModelInventory& model, const MachineProfile& machine, const Goal& goal,
                       const Placement& placement) {
  const auto rows = static_cast<double>(goal.batch * goal.rows_per_sequence);
  const auto depth = static_cast<double>(std::min(goal.prompt_tokens, goal.context));
  StepClock clock(model, machine, goal, placement);
  clock.any_step({rows, depth * static_cast<double>(goal.batch), depth * rows});
  clock.head(rows);
  return clock.take();
}

StepTimes prefill_times(const ModelInventory& model, const MachineProfile& machine,
                        const Goal& goal, const Placement& placement) {
  const int64_t chunk = std::max<int64_t>(1, goal.prefill_rows);
  StepClock clock(model, machine, goal, placement);
  if (goal.prompt_tokens > goal.few_rows) clock.first_copy();
  for (int64_t done = 0; done < goal.prompt_tokens; done += chunk) {
    const auto rows = static_cast<double>(std::min(chunk, goal.prompt_tokens - done));
    const auto before = static_cast<double>(done);
    clock.any_step({rows, before + rows, rows * (before + rows / 2)});
  }
  clock.head(1);
  return clock.take();
}

}  // namespace shoehorn
