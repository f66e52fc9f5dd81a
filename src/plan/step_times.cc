#include "plan/step_times.h"

#include <algorithm>
#include <cmath>

#include "ops/linear.h"

namespace shoehorn {
namespace {

// Kernels of a layer that read no weights, for few rows (models/layers_body.h): norm, RoPE and
// append, attention's output made ready, norm, SwiGLU.
constexpr double kSmallKernels = 5;
// Attention over a short context, in small kernels: 8 us beside 2.2 were measured on an H100, as
// the part of 13.5 us at a context of 4096 and 54.9 at 32768 that does not grow (bench/results).
constexpr double kAttentionKernels = 3.5;
// A step beside its layers: embedding, angles, final norm, choice, next positions.
constexpr double kStepKernels = 6;
// A step of many rows begins with their embeddings, gathered by the CPU as floats: 12.9 ms for
// 67 MB and 9.7 for 34 were measured on 16 cores; dequantizing a row is three times faster since.
constexpr double kGatherBytesPerS = 14e9;
// What a neuron of a wave costs a row in VRAM's bytes. Gate and up are written, read, and written
// as their product, 24 bytes; the timeline of a 67B's and a 7B's prefill shows about a sixth of
// that, as the card's L2 holds most of a wave.
constexpr double kNeuronRowBytes = 4;
// Of the rate of linear layers' tensor operations, what attention of many rows reaches: 229 TFLOP/s
// at 2048 rows and 288 at 4096, beside 560.
constexpr double kAttentionTensorShare = 0.45;

struct Work {
  double bytes = 0;
  double parameters = 0;
  double rows = 0;
};

// A step of some rows: `cached` tokens read in all sequences, `scores` products of a query with a
// key and with a value.
struct Rows {
  double count = 1;
  double cached = 0;
  double scores = 0;
  bool few() const { return count <= static_cast<double>(kFewRows); }
};

// What the card takes for a product.
class CardClock {
 public:
  explicit CardClock(const MachineProfile& machine) : machine_(machine) {}

  double product_seconds(const Work& work) {
    if (work.bytes <= 0) return 0;
    const double reading = work.bytes / machine_.vram_bytes_per_s;
    const double computing = 2 * work.parameters * work.rows / machine_.tensor_flops_per_s;
    reading_s_ += reading;
    computing_s_ += computing;
    if (machine_.card_linear.empty()) return std::max(reading, computing);
    return linear_seconds(machine_.card_linear, work.rows, work.bytes, work.parameters);
  }

  // A product of which `parts` shares are launched one after the other.
  double products_seconds(const Work& work, std::initializer_list<double> parts) {
    double seconds = 0;
    for (const double part : parts) {
      seconds += product_seconds({work.bytes * part, work.parameters * part, work.rows});
    }
    return seconds;
  }

  double attention_seconds(double cache_bytes, double flops) {
    const double reading = cache_bytes / machine_.vram_bytes_per_s;
    const double computing = flops / (kAttentionTensorShare * machine_.tensor_flops_per_s);
    reading_s_ += reading;
    computing_s_ += computing;
    return std::max(reading, computing) + kAttentionKernels * machine_.kernel_s;
  }

  bool compute_bound() const { return computing_s_ > reading_s_; }

 private:
  const MachineProfile& machine_;
  double reading_s_ = 0, computing_s_ = 0;
};

// What the CPU takes, for one number of rows.
class CpuClock {
 public:
  CpuClock(const MachineProfile& machine, double rows) : rows_(rows) {
    read_bytes_per_s_ = machine.cpu_read_bytes_per_s;
    flops_per_s_ = machine.cpu_linear_flops_per_s;
    const std::vector<LinearRate>& rates = machine.cpu_linear;
    if (rates.empty()) return;
    read_bytes_per_s_ = rates.front().bytes_per_s;
    const double sample = static_cast<double>(rates.front().weight_bytes);
    const double parameters = sample * 8 / kLinearRateBits;
    const double rate = sample / linear_seconds(rates, rows, sample, parameters);
    // As fast as one row: memory's rate, and what the cores could do beyond it is not known.
    constexpr double kBoundByMemory = 0.9;
    if (rate < kBoundByMemory * read_bytes_per_s_) {
      flops_per_s_ = 2 * rows * rate * 8 / kLinearRateBits;
    }
  }

  // For as long as copies run beside the CPU's reading, it reads slower.
  void slow_down(double read_bytes, double copies_s, double beside_share) {
    const double together_s =
        std::min(copies_s, read_bytes / (read_bytes_per_s_ * std::max(beside_share, 1e-6)));
    read_bytes_per_s_ =
        read_bytes / (read_bytes / read_bytes_per_s_ + together_s * (1 - beside_share));
  }

  double seconds(double bytes, double parameters, double more_flops = 0) {
    const double reading = bytes / read_bytes_per_s_;
    const double computing = (2 * parameters * rows_ + more_flops) / flops_per_s_;
    reading_s_ += reading;
    computing_s_ += computing;
    return std::max(reading, computing);
  }

  bool compute_bound() const { return computing_s_ > reading_s_; }

 private:
  double rows_ = 1;
  double read_bytes_per_s_ = 1, flops_per_s_ = 1;
  double reading_s_ = 0, computing_s_ = 0;
};

class StepClock {
 public:
  StepClock(const ModelInventory& model, const MachineProfile& machine, const Goal& goal,
            const Placement& placement, const Rows& rows)
      : model_(model),
        machine_(machine),
        goal_(goal),
        placement_(placement),
        rows_(rows),
        card_(machine),
        cpu_(machine, rows.count) {
    copy_bytes_per_s_ = std::max(1.0, rate_at(machine.h2d, placement.copy_bytes));
  }

  void step() {
    const double decode_rows = static_cast<double>(goal_.batch * goal_.rows_per_sequence);
    const double most_shared =
        std::max<double>(static_cast<double>(goal_.few_rows),
                         std::min<double>(decode_rows, static_cast<double>(kFewRows)));
    const bool waves =
        rows_.count > most_shared || (placement_.decode_in_waves && rows_.count >= decode_rows);
    if (!placement_.uses_card) return shared();
    waves ? in_waves() : shared();
    if (waves && first_ && placement_.vram.ring > 0) {
      times_.total_s += static_cast<double>(placement_.copy_bytes) / copy_bytes_per_s_;
    }
  }

  // Pieces are not on their way yet.
  void is_first() { first_ = true; }

  void head(double rows) {
    const auto bytes = static_cast<double>(model_.head_bytes);
    const auto parameters = static_cast<double>(model_.head_parameters);
    if (placement_.uses_card) {
      times_.total_s += spend_card(card_.product_seconds({bytes, parameters, rows}));
    } else {
      times_.total_s += spend_cpu(cpu_.seconds(bytes, parameters * rows / rows_.count));
    }
  }

  StepTimes take() {
    times_.bound = bound();
    return times_;
  }

 private:
  // Card and CPU compute their own units; `stream` units and streamed attention are copied.
  void shared() {
    slow_beside_each_other();
    double chain = before_layers(), copies = 0;
    for (size_t l = 0; l < model_.layers.size(); ++l) {
      const LayerPlacement& placed = placement_.layers[l];
      chain += attention_seconds(l);
      const Work units = units_of(l, placed.vram + placed.stream);
      // Gate and up are one launch, down another.
      const double on_card =
          units.bytes > 0 ? spend_card(card_.products_seconds(units, {2.0 / 3, 1.0 / 3})) : 0.0;
      const Work rest = units_of(l, placed.cpu);
      double on_cpu = rest.bytes > 0 ? spend_cpu(cpu_.seconds(rest.bytes, rest.parameters)) : 0.0;
      if (on_cpu > 0 && placement_.uses_card) {
        on_cpu += spend_exchange(machine_.layer_exchange_s);
      }
      chain += std::max(on_card, on_cpu);
      copies += (unit_bytes(l, placed.stream) + streamed_attention(l)) / copy_bytes_per_s_;
    }
    finish(chain, copies);
  }

  // All units of the host are streamed; nothing is left to the CPU.
  void in_waves() {
    double chain = before_layers(), copies = 0;
    for (size_t l = 0; l < model_.layers.size(); ++l) {
      const LayerPlacement& placed = placement_.layers[l];
      chain += attention_seconds(l);
      const int64_t units = model_.layers[l].units;
      for (int64_t begin = 0; begin < units; begin += placement_.wave_units) {
        const Work wave = units_of(l, std::min(placement_.wave_units, units - begin));
        chain +=
            spend_card(rows_.few() ? card_.products_seconds(wave, {2.0 / 3, 1.0 / 3})
                                   : card_.products_seconds(wave, {1.0 / 3, 1.0 / 3, 1.0 / 3}));
        if (!rows_.few()) chain += spend_card(wave_rows_bytes(wave) / machine_.vram_bytes_per_s);
      }
      const double units_of_host = unit_bytes(l, placed.cpu + placed.stream);
      copies += (units_of_host + streamed_attention(l)) / copy_bytes_per_s_;
    }
    finish(chain, copies);
  }

  // Small kernels; and many rows' embeddings, which the CPU gathers and the bus brings.
  double before_layers() {
    if (!placement_.uses_card) return 0;
    const double seconds = spend_exchange(kStepKernels * machine_.kernel_s);
    if (rows_.few()) return seconds;
    const double bytes = rows_.count * 4 * static_cast<double>(model_.config.hidden_size);
    return seconds + spend_cpu(bytes / kGatherBytesPerS) + bytes / copy_bytes_per_s_;
  }

  void slow_beside_each_other() {
    double streamed = 0, read = 0;
    for (size_t l = 0; l < model_.layers.size(); ++l) {
      streamed += unit_bytes(l, placement_.layers[l].stream) + streamed_attention(l);
      read += unit_bytes(l, placement_.layers[l].cpu);
    }
    if (streamed == 0 || read == 0) return;
    if (machine_.h2d_beside_read_bytes_per_s > 0) {
      copy_bytes_per_s_ = std::min(copy_bytes_per_s_, machine_.h2d_beside_read_bytes_per_s);
    }
    cpu_.slow_down(read, streamed / copy_bytes_per_s_,
                   machine_.cpu_read_beside_copy_bytes_per_s / machine_.cpu_read_bytes_per_s);
  }

  double unit_bytes(size_t layer, int64_t count) const {
    return static_cast<double>(model_.layers[layer].unit_bytes) * static_cast<double>(count);
  }

  double streamed_attention(size_t layer) const {
    const bool streamed = placement_.layers[layer].attention == AttentionPlace::streamed;
    return streamed ? static_cast<double>(model_.layers[layer].attention_bytes) : 0;
  }

  Work units_of(size_t layer, int64_t count) const {
    return {unit_bytes(layer, count),
            static_cast<double>(model_.layers[layer].unit_parameters) * static_cast<double>(count),
            rows_.count};
  }

  double attention_seconds(size_t l) {
    const LayerInventory& layer = model_.layers[l];
    const Work weights = {
        static_cast<double>(layer.attention_bytes + layer.feed_forward_fixed_bytes),
        static_cast<double>(layer.attention_parameters), rows_.count};
    const double cache_bytes =
        rows_.cached * static_cast<double>(model_.kv_bytes_per_layer(goal_.kv_dtype));
    // A query head's product with a key, and that of its weight with a value.
    const double flops = 4 * static_cast<double>(model_.config.query_size()) * rows_.scores;
    if (!placement_.uses_card) {
      return spend_cpu(cpu_.seconds(weights.bytes + cache_bytes, weights.parameters, flops));
    }
    const auto q = static_cast<double>(model_.config.query_size());
    const auto kv = static_cast<double>(model_.config.key_value_size());
    const double all = 2 * (q + kv);  // query, key, value, output
    double seconds = rows_.few()
                         ? card_.products_seconds(weights, {(q + 2 * kv) / all, q / all})
                         : card_.products_seconds(weights, {q / all, kv / all, kv / all, q / all});
    seconds += card_.attention_seconds(cache_bytes, flops);
    if (!rows_.few()) seconds += attention_rows_bytes() / machine_.vram_bytes_per_s;
    return spend_card(seconds) + spend_exchange(kSmallKernels * machine_.kernel_s);
  }

  // What many rows cost between products, in bytes of VRAM: floats written by one kernel and read
  // by the next, and bf16 for the products. Norms twice, q, k, v and their rotation, attention's
  // output, its product added to x.
  double attention_rows_bytes() const {
    const auto h = static_cast<double>(model_.config.hidden_size);
    const auto q = static_cast<double>(model_.config.query_size());
    const auto kv = static_cast<double>(model_.config.key_value_size());
    return rows_.count * (2 * 10 * h + 2 * 2 * h + 12 * (q + kv) + 12 * q + 2 * h + 8 * h);
  }

  // Of a wave: its neurons, and x, to which each wave's result is added.
  double wave_rows_bytes(const Work& wave) const {
    const auto h = static_cast<double>(model_.config.hidden_size);
    const double neurons = wave.parameters / (3 * h);
    return rows_.count * (kNeuronRowBytes * neurons + 8 * h);
  }

  double spend_card(double seconds) {
    times_.card_s += seconds;
    return seconds;
  }
  double spend_cpu(double seconds) {
    times_.cpu_s += seconds;
    return seconds;
  }
  double spend_exchange(double seconds) {
    times_.exchange_s += seconds;
    return seconds;
  }

  // Reads from disk and copies run ahead of the layers.
  void finish(double chain, double copies) {
    const double disk =
        static_cast<double>(placement_.disk.total()) / std::max(1.0, machine_.disk_bytes_per_s);
    times_.copy_s += copies;
    times_.disk_s += disk;
    times_.total_s += std::max({chain, copies, disk});
  }

  Bound bound() const {
    const double all = times_.total_s;
    const bool cpu_computes = cpu_.compute_bound();
    if (times_.disk_s > std::max({times_.card_s, times_.cpu_s, times_.copy_s, times_.exchange_s})) {
      return Bound::disk;
    }
    if (times_.copy_s >= 0.8 * all && times_.cpu_s >= 0.6 * all) {
      return cpu_computes ? Bound::cpu_compute : Bound::host_memory_and_pcie;
    }
    const double most = std::max({times_.card_s, times_.cpu_s, times_.copy_s, times_.exchange_s});
    if (times_.copy_s == most) return Bound::pcie;
    if (times_.cpu_s == most) return cpu_computes ? Bound::cpu_compute : Bound::host_memory;
    if (times_.exchange_s == most) return Bound::exchange;
    return card_.compute_bound() ? Bound::tensor_cores : Bound::vram_bandwidth;
  }

  const ModelInventory& model_;
  const MachineProfile& machine_;
  const Goal& goal_;
  const Placement& placement_;
  const Rows rows_;
  CardClock card_;
  CpuClock cpu_;
  double copy_bytes_per_s_ = 1;
  bool first_ = false;
  StepTimes times_;
};

void add(const StepTimes& step, StepTimes& all) {
  const bool longest = step.total_s > all.total_s;
  if (longest) all.bound = step.bound;
  all.card_s += step.card_s;
  all.cpu_s += step.cpu_s;
  all.copy_s += step.copy_s;
  all.exchange_s += step.exchange_s;
  all.total_s += step.total_s;
}

}  // namespace

StepTimes decode_times(const ModelInventory& model, const MachineProfile& machine, const Goal& goal,
                       const Placement& placement) {
  const auto rows = static_cast<double>(goal.batch * goal.rows_per_sequence);
  const auto depth = static_cast<double>(std::min(goal.prompt_tokens, goal.context));
  StepClock clock(model, machine, goal, placement,
                  {rows, depth * static_cast<double>(goal.batch), depth * rows});
  clock.step();
  clock.head(rows);
  return clock.take();
}

StepTimes prefill_times(const ModelInventory& model, const MachineProfile& machine,
                        const Goal& goal, const Placement& placement) {
  const int64_t chunk = std::max<int64_t>(1, goal.prefill_rows);
  StepTimes all;
  for (int64_t done = 0; done < goal.prompt_tokens; done += chunk) {
    const auto rows = static_cast<double>(std::min(chunk, goal.prompt_tokens - done));
    const auto before = static_cast<double>(done);
    StepClock clock(model, machine, goal, placement,
                    {rows, before + rows, rows * (before + rows / 2)});
    if (done == 0) clock.is_first();
    clock.step();
    if (done + chunk >= goal.prompt_tokens) clock.head(1);
    add(clock.take(), all);
  }
  return all;
}

}  // namespace shoehorn
