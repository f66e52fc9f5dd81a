// Opening a hybrid model: memory, weights, and who computes what.
#include <algorithm>
#include <cmath>
#include <optional>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/cuda_check.h"
#include "base/log.h"
#include "base/memory_use.h"
#include "engine/hybrid_state.h"
#include "plan/measure_machine.h"

namespace shoehorn {
namespace {

// What the process takes in host memory after the plan: kernels that the driver loads late,
// sequences, rounding to pages.
constexpr uint64_t kHostMargin = uint64_t{128} << 20;
// Of what is outside VRAM, the part on disk up to which trials of splits say something: reading it
// takes less time than the rest.
constexpr uint64_t kTriedDiskShare = 32;

// The share of what is outside VRAM that the bus brings while the CPU reads the rest: where trials
// begin. As measured, where the machine was; else the one that was the fastest on an H100.
double likely_share(int gpu) {
  constexpr double kUnmeasured = 0.3;
  const std::optional<MachineProfile> machine = kept_machine(gpu);
  if (!machine || !machine->has_card() || machine->h2d_beside_read_bytes_per_s <= 0) {
    return kUnmeasured;
  }
  const double bus = machine->h2d_beside_read_bytes_per_s;
  return std::round(10 * bus / (bus + machine->cpu_read_beside_copy_bytes_per_s)) / 10;
}

}  // namespace

Result<void> HybridForward::open(const Checkpoint& checkpoint, const LoadProgress& progress) {
  TRY(plan_and_place());
  TRY(open_host_side());
  TRY(plan_host());
  const uint64_t weight_bytes = HybridWeights::card_bytes(model_, plan_);
  weights_ = TRY(load_hybrid(pool_, checkpoint, model_,
                             {.card = plan_,
                              .ram = ram_,
                              .vram = card_.bytes().last(weight_bytes),
                              .spill = options_.spill},
                             progress));
  if (streamer_) streamer_->read_from(weights_.disk.get());
  for (int64_t layer = 0; layer < model_.config.num_hidden_layers; ++layer) {
    if (weights_.host_attention[layer] == nullptr) continue;
    attention_schedule_.push_back(
        {weights_.host_attention[layer], block(model_.layout.attention_block(layer)).size_bytes});
  }
  TRY(open_decode());
  return choose_splits();
}

Result<void> HybridForward::plan_host() {
  const uint64_t fixed = private_memory_bytes() + kHostMargin + exchange_.buffer.size_bytes() +
                         cpu_buffer_.size_bytes() + HybridWeights::staging_bytes(model_, plan_);
  ram_ = TRY(plan_ram(take_inventory(model_.config, model_.layout), plan_,
                      {.ram_budget_bytes = options_.ram_budget_bytes, .fixed_bytes = fixed}));
  return {};
}

// Others may have what the card should have free. Then what it refuses is planned smaller, and
// said.
Result<void> HybridForward::plan_and_place() {
  constexpr int kMostTries = 5;
  const uint64_t context = TRY(gpu_process_bytes(gpu_->facts().index));
  const ModelInventory inventory = take_inventory(model_.config, model_.layout);
  Error refused;
  for (int attempt = 0; attempt < kMostTries; ++attempt) {
    uint64_t& budget = options_.vram_budget_bytes;
    Result<CardPlan> plan =
        plan_card(inventory, {.limits = options_.limits,
                              .kv_bytes = PagedKv::size_bytes(model_.config, options_.kv),
                              .context_bytes = context,
                              .vram_budget_bytes = budget});
    if (!plan.ok()) return attempt == 0 ? plan.error() : refused;
    plan_ = std::move(*plan);
    limits_ = plan_.limits;
    vram_ = VramBudget(budget - context);
    const Result<void> placed = place_on_card();
    if (placed.ok()) return {};
    streamer_ = nullptr;
    attention_streamer_ = nullptr;
    card_ = GpuBuffer();
    if (attempt == 0) refused = placed.error();
    size_t free_bytes = 0, total_bytes = 0;
    TRY(cuda_result(cudaMemGetInfo(&free_bytes, &total_bytes), "the card's memory"));
    budget = std::min<uint64_t>(budget - budget / 8, context + free_bytes);
    log_warning("{}; planning for {} of VRAM", placed.error().message, format_bytes(budget));
  }
  return refused;
}

// One allocation, cut once: whatever the step needs, then the ring, then the weights.
Result<void> HybridForward::place_on_card() {
  const ModelConfig& config = model_.config;
  const int64_t max_pages =
      (options_.kv.capacity_tokens + options_.kv.page_tokens - 1) / options_.kv.page_tokens;
  const uint64_t step_bytes = CardStep::size_bytes(limits_.max_rows, max_pages);
  const uint64_t work_bytes = shoehorn::workspace_bytes<Gpu>(config, limits_);
  const auto scratch_bytes =
      static_cast<uint64_t>(gpu_linear_scratch_bytes(limits_.wave_neurons, config.hidden_size));
  const auto pairs = static_cast<int64_t>(model_.rope.frequencies.size());
  struct Parts {
    std::byte *kv, *step, *work, *scratch, *ring, *attention_ring;
  } parts;
  const auto place = [&](Arena& arena) {
    parts.kv = arena.take(plan_.kv);
    parts.step = arena.take(step_bytes);
    frequencies_ = arena.take_array<double>(pairs);
    head_rows_ = arena.take_array<int32_t>(limits_.max_logit_rows);
    masked_ = arena.take_array<int32_t>(static_cast<int64_t>(model_.masked_ids.size()));
    parts.work = arena.take(work_bytes);
    parts.scratch = arena.take(scratch_bytes);
    parts.ring = arena.take(plan_.ring);
    parts.attention_ring = arena.take(plan_.attention_ring);
    arena.take(HybridWeights::card_bytes(model_, plan_));
  };
  Arena planned;
  place(planned);
  card_ = TRY(GpuBuffer::create(planned.peak_bytes(), "weights, cache and workspace", vram_));
  Arena arena(card_.bytes());
  place(arena);
  // Pages hold no NaN before they hold tokens: attention multiplies what lies behind a context by
  // 0.
  TRY(cuda_result(cudaMemset(parts.kv, 0, plan_.kv), "the KV cache"));
  kv_ = PagedKv(config, options_.kv, parts.kv);
  card_step_ = TRY(CardStep::create({parts.step, step_bytes}, limits_.max_rows, max_pages));
  work_ = place_workspace<Gpu>(config, limits_, {parts.work, work_bytes});
  gpu_->set_scratch({parts.scratch, scratch_bytes});
  if (plan_.ring > 0) {
    streamer_ = TRY(Streamer::create({parts.ring, plan_.ring}, plan_.slot_bytes));
  }
  if (plan_.attention_ring > 0) {
    attention_streamer_ = TRY(
        Streamer::create({parts.attention_ring, plan_.attention_ring}, plan_.attention_ring / 2));
  }
  return cuda_result(
      cudaMemcpy(frequencies_, model_.rope.frequencies.data(),
                 static_cast<size_t>(pairs) * sizeof(double), cudaMemcpyHostToDevice),
      "RoPE frequencies");
}

Result<void> HybridForward::open_host_side() {
  TRY(exchange_.create(model_.config, limits_));
  cpu_sums_ = exchange_.sums;
  cpu_sums_.data = TRY(seen_by_card(reinterpret_cast<std::byte*>(exchange_.sums.row<float>(0))));
  const WorkspaceLimits cpu = {.max_rows = std::min(kFewRows, limits_.max_rows),
                               .max_logit_rows = 1,
                               .max_context = 1,
                               .thread_count = pool_.thread_count()};
  cpu_buffer_ = TRY(HostBuffer::create(shoehorn::workspace_bytes<ThreadPool>(model_.config, cpu),
                                       "the CPU's workspace"));
  cpu_work_ = place_workspace<ThreadPool>(model_.config, cpu, cpu_buffer_.bytes());
  return cuda_result(cudaEventCreateWithFlags(&normed_ready_, cudaEventDisableTiming), "an event");
}

void HybridForward::add_pieces(int64_t layer, GroupRange range,
                               Streamer::Schedule& schedule) const {
  for (int64_t group = range.begin; group < range.end; group += plan_.slot_groups) {
    const int64_t end = std::min(group + plan_.slot_groups, range.end);
    const uint64_t stride = groups(layer).stride_bytes;
    const int64_t on_disk = groups(layer).count - ram_.disk_groups[layer];  // from this one on
    const int64_t middle = std::clamp(on_disk, group, end);
    Streamer::Piece piece = {.host = host_group(layer, group),
                             .bytes = static_cast<uint64_t>(middle - group) * stride};
    if (middle < end) {
      piece.extent = weights_.extents[layer];
      piece.extent_offset = static_cast<uint64_t>(middle - on_disk) * stride;
      piece.extent_bytes = static_cast<uint64_t>(end - middle) * stride;
      piece.ends_extent = end == groups(layer).count;
    }
    schedule.push_back(piece);
  }
}

Split HybridForward::make_split(int64_t max_rows, double share) const {
  if (streams_in_waves(plan_, ram_.disk_groups)) return make_streamed(max_rows);
  Split split = {
      .max_rows = max_rows, .share = share, .layers = split_layers(plan_, share, ram_.disk_groups)};
  for (int64_t layer = 0; layer < model_.config.num_hidden_layers; ++layer) {
    const int64_t count = groups(layer).count;
    add_pieces(layer, {count - split.layers[layer].stream, count}, split.schedule);
  }
  return split;
}

Split HybridForward::make_streamed(int64_t max_rows) const {
  Split split = {.max_rows = max_rows, .all_streamed = true, .share = 1};
  for (int64_t layer = 0; layer < model_.config.num_hidden_layers; ++layer) {
    const int64_t count = groups(layer).count;
    split.layers.push_back({.vram = plan_.vram_groups[layer], .stream = plan_.host_groups[layer]});
    for (int64_t begin = 0; begin < count; begin += wave_groups()) {
      add_pieces(
          layer,
          outside_vram(plan_.vram_groups[layer], begin, std::min(begin + wave_groups(), count)),
          split.schedule);
    }
  }
  return split;
}

// Seconds of a step of split.max_rows rows, the least of a few after the first.
Result<double> HybridForward::trial_seconds(const Split& split) {
  constexpr int kMostSteps = 4;
  constexpr double kEnoughSeconds = 0.6;
  // Rows of one sequence at the beginning of the first page: nobody's yet.
  static const std::vector<int32_t> first_pages = {0, 1, 2, 3};
  Batch batch;
  batch.spans.push_back({.row_count = split.max_rows, .pages = first_pages.data()});
  for (int64_t i = 0; i < split.max_rows; ++i) {
    batch.tokens.push_back(static_cast<int32_t>(i));
    batch.positions.push_back(static_cast<int32_t>(i));
  }
  double least = 1e9;
  const Stopwatch all;
  for (int step = 0; step < kMostSteps && (step < 2 || all.seconds() < kEnoughSeconds); ++step) {
    const Stopwatch clock;
    TRY(gpu_->wait());
    begin_with(batch, split);
    for (int64_t layer = 0; layer < model_.config.num_hidden_layers; ++layer) {
      TRY(attention(layer));
      TRY(feed_forward(layer));
    }
    TRY(gpu_->wait());
    if (step > 0) least = std::min(least, clock.seconds());
  }
  if (streamer_) streamer_->follow(nullptr);  // the schedule ends with the trial
  return least;
}

// The fastest of a few shares around `middle`, and of leaving nothing to the CPU.
Result<Split> HybridForward::fastest_split(int64_t rows, double middle) {
  Split best;
  double least = 1e9;
  const auto consider = [&](Split split) -> Result<void> {
    const double seconds = TRY(trial_seconds(split));
    if (seconds < least) {
      least = seconds;
      best = std::move(split);
    }
    return {};
  };
  for (const double difference : {-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3}) {
    const double share = middle + difference;
    if (share > -0.05 && share < 1) TRY(consider(make_split(rows, std::max(share, 0.0))));
  }
  if (rows > 1) TRY(consider(make_streamed(rows)));
  log_info("steps of up to {} rows: {:.0f} % streamed, {:.1f} ms", rows, 100 * best.share,
           1e3 * least);
  return best;
}

// Where a share is given, it holds while the CPU surely keeps up. Else shares are tried; more rows
// cost the CPU time and the copies none, so each number of rows starts from the one before.
Result<void> HybridForward::choose_splits() {
  constexpr int64_t kSurelyFewRows = 16;
  many_rows_ = make_streamed(limits_.max_rows);
  // Where a step waits for the disk, copies of what is in RAM would win nothing.
  const bool waits_for_disk = ram_.disk > (plan_outside_vram() / kTriedDiskShare);
  double share =
      options_.stream_share.value_or(waits_for_disk ? 0 : likely_share(gpu_->facts().index));
  if (options_.stream_share || plan_.ring == 0 || waits_for_disk) {
    const bool in_waves = streams_in_waves(plan_, ram_.disk_groups);
    splits_.push_back(make_split(in_waves ? limits_.max_rows : kSurelyFewRows, share));
    return {};
  }
  const int64_t tried_rows = std::min({options_.decode_rows, limits_.max_rows, kFewRows});
  for (const int64_t rows : kSplitRows) {
    if (rows / 2 >= tried_rows || rows > limits_.max_rows) break;
    splits_.push_back(TRY(fastest_split(rows, share)));
    if (splits_.back().all_streamed) return {};
    share = splits_.back().share;
  }
  if (splits_.back().max_rows < kSurelyFewRows) {
    splits_.push_back(make_split(kSurelyFewRows, share));
  }
  return {};
}

Result<std::unique_ptr<Forward>> open_on_card(ThreadPool& pool, const Model& model,
                                              const Checkpoint& checkpoint,
                                              const CardRequest& request) {
  auto gpu = TRY(Gpu::open(request.gpu));
  auto forward = std::make_unique<HybridForward>(pool, std::move(gpu), model, request.hybrid);
  TRY(forward->open(checkpoint, request.progress));
  return std::unique_ptr<Forward>(std::move(forward));
}

}  // namespace shoehorn
