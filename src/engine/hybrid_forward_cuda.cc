#include "engine/hybrid_forward.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/cuda_check.h"
#include "engine/card_step.h"
#include "engine/hybrid_weights.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"

namespace shoehorn {
namespace {

// Host memory that the card copies to and from: activations, one exchange a layer.
struct Exchange {
  HostBuffer buffer;
  Pin pin;
  Tensor rows;    // [max rows, h]: embeddings in
  Tensor normed;  // [few rows, h]: out to the CPU
  Tensor sums;    // [few rows, h]: back from it
  Tensor logits;  // [logit rows, V]
  int32_t* head_rows = nullptr;

  Result<void> create(const ModelConfig& config, const WorkspaceLimits& limits) {
    Arena planned;
    place(planned, config, limits);
    buffer = TRY(HostBuffer::create(planned.peak_bytes(), "activations"));
    pin = TRY(Pin::create(buffer.bytes()));
    Arena arena(buffer.bytes());
    place(arena, config, limits);
    return {};
  }
  void place(Arena& arena, const ModelConfig& config, const WorkspaceLimits& limits) {
    const auto matrix = [&](int64_t count, int64_t columns) {
      return Tensor::matrix(arena.take_array<float>(count * columns), count, columns);
    };
    rows = matrix(limits.max_rows, config.hidden_size);
    normed = matrix(kFewRows, config.hidden_size);
    sums = matrix(kFewRows, config.hidden_size);
    logits = matrix(limits.max_logit_rows, config.vocab_size);
    head_rows = arena.take_array<int32_t>(limits.max_logit_rows);
  }
};

// Pieces of one layer in one wave or step: groups [begin, end), contiguous in host memory.
struct StreamedRange {
  int64_t begin = 0, end = 0;
};

class HybridForward final : public Forward {
 public:
  HybridForward(ThreadPool& pool, std::unique_ptr<Gpu> gpu, const Model& model,
                const HybridOptions& options)
      : pool_(pool), gpu_(std::move(gpu)), model_(model), options_(options) {}
  ~HybridForward() override {
    cudaStreamSynchronize(gpu_->stream());
    if (normed_ready_ != nullptr) cudaEventDestroy(normed_ready_);
  }

  Result<void> open(const Checkpoint& checkpoint, const LoadProgress& progress);

  Result<void> begin(const Batch& batch) override;
  Result<void> attention(int64_t layer) override;
  Result<void> feed_forward(int64_t layer) override;
  Result<Tensor> head(std::span<const int64_t> rows) override;

  PagedKv& kv() override { return kv_; }
  const WorkspaceLimits& limits() const override { return limits_; }
  uint64_t workspace_bytes() const override { return plan_.workspace; }
  uint64_t vram_bytes() const override {
    const Result<uint64_t> bytes = gpu_process_bytes(gpu_->facts().index);
    return bytes.ok() ? *bytes : 0;
  }
  WeightBytes weight_bytes() const override;
  std::string describe() const override;
  std::span<const std::byte> host_weights() const override {
    return weights_.host_groups.bytes();
  }

 private:
  Result<void> place_on_card();
  Result<void> open_host_side();
  void make_schedules();
  void add_pieces(int64_t layer, StreamedRange range, Streamer::Schedule& schedule) const;

  const BlockLayout& block(int number) const { return model_.layout.blocks[number]; }
  const NeuronGroups& groups(int64_t layer) const {
    return block(model_.layout.feed_forward_block(layer)).groups;
  }
  const std::byte* host_group(int64_t layer, int64_t group) const {
    return weights_.host_layers[layer] +
           static_cast<uint64_t>(group - plan_.layers[layer].vram) * groups(layer).stride_bytes;
  }
  bool few_rows() const { return x_.rows() <= options_.few_rows; }
  int64_t wave_groups() const { return limits_.wave_neurons / groups(0).neurons; }

  StepContext<Gpu> step() {
    return {*gpu_, model_.config, work_, options_.precision, card_step_->spans()};
  }
  void take_pieces(int64_t layer, StreamedRange range, GroupTable& table);
  void give_back_pieces(StreamedRange range);
  int64_t pieces_of(StreamedRange range) const {
    return (range.end - range.begin + plan_.slot_groups - 1) / plan_.slot_groups;
  }
  Result<void> shared_feed_forward(int64_t layer, const GpuActivationRows& n);
  void streamed_feed_forward(int64_t layer, const GpuActivationRows& n);
  Result<void> compute_on_cpu(int64_t layer);

  ThreadPool& pool_;
  std::unique_ptr<Gpu> gpu_;
  const Model& model_;
  HybridOptions options_;
  WorkspaceLimits limits_;
  CardPlan plan_;

  GpuBuffer card_;  // everything of ours in VRAM
  HybridWeights weights_;
  Workspace work_;
  PagedKv kv_;
  std::unique_ptr<CardStep> card_step_;
  double* frequencies_ = nullptr;  // on the card
  Tensor cpu_sums_;                // [few rows, h] on the card
  int32_t* head_rows_ = nullptr;   // on the card
  std::unique_ptr<Streamer> streamer_;
  Streamer::Schedule few_schedule_, many_schedule_;

  Exchange exchange_;
  HostBuffer cpu_buffer_;
  Workspace cpu_work_;
  cudaEvent_t normed_ready_ = nullptr;

  Tensor x_;  // the step's residual stream on the card, [rows, h]
};

Result<void> HybridForward::open(const Checkpoint& checkpoint, const LoadProgress& progress) {
  const uint64_t context = TRY(gpu_process_bytes(gpu_->facts().index));
  plan_ = TRY(plan_card(model_, options_, context));
  limits_ = options_.limits;
  limits_.few_rows = kFewRows;
  limits_.wave_neurons = plan_.slot_groups * 2 * groups(0).neurons;
  TRY(place_on_card());
  TRY(open_host_side());
  const uint64_t weight_bytes = HybridWeights::card_bytes(model_, plan_);
  weights_ = TRY(load_hybrid(pool_, checkpoint, model_, plan_,
                             card_.bytes().last(weight_bytes), progress));
  make_schedules();
  return {};
}

// One allocation, cut once: whatever the step needs, then the ring, then the weights.
Result<void> HybridForward::place_on_card() {
  const ModelConfig& config = model_.config;
  const int64_t max_pages =
      (options_.kv.capacity_tokens + options_.kv.page_tokens - 1) / options_.kv.page_tokens;
  const uint64_t step_bytes = CardStep::size_bytes(limits_.max_rows, max_pages);
  const uint64_t work_bytes = shoehorn::workspace_bytes<Gpu>(config, limits_);
  const auto scratch_bytes = static_cast<uint64_t>(
      gpu_linear_scratch_bytes(limits_.wave_neurons, config.hidden_size));
  const auto pairs = static_cast<int64_t>(model_.rope.frequencies.size());
  struct Parts {
    std::byte *kv, *step, *work, *scratch, *ring;
  } parts;
  const auto place = [&](Arena& arena) {
    parts.kv = arena.take(plan_.kv);
    parts.step = arena.take(step_bytes);
    frequencies_ = arena.take_array<double>(pairs);
    cpu_sums_ = Tensor::matrix(arena.take_array<float>(kFewRows * config.hidden_size), kFewRows,
                               config.hidden_size);
    head_rows_ = arena.take_array<int32_t>(limits_.max_logit_rows);
    parts.work = arena.take(work_bytes);
    parts.scratch = arena.take(scratch_bytes);
    parts.ring = arena.take(plan_.ring);
    arena.take(HybridWeights::card_bytes(model_, plan_));
  };
  Arena planned;
  place(planned);
  card_ = TRY(GpuBuffer::create(planned.peak_bytes(), "weights, cache and workspace"));
  Arena arena(card_.bytes());
  place(arena);
  // Pages hold no NaN before they hold tokens: attention multiplies what lies behind a context by 0.
  TRY(cuda_result(cudaMemset(parts.kv, 0, plan_.kv), "the KV cache"));
  kv_ = PagedKv(config, options_.kv, parts.kv);
  card_step_ = TRY(CardStep::create({parts.step, step_bytes}, limits_.max_rows, max_pages));
  work_ = place_workspace<Gpu>(config, limits_, {parts.work, work_bytes});
  gpu_->set_scratch({parts.scratch, scratch_bytes});
  if (plan_.ring > 0) {
    streamer_ = TRY(Streamer::create(
        {parts.ring, plan_.ring},
        static_cast<uint64_t>(plan_.slot_groups) * groups(0).stride_bytes));
  }
  return cuda_result(cudaMemcpy(frequencies_, model_.rope.frequencies.data(),
                                static_cast<size_t>(pairs) * sizeof(double),
                                cudaMemcpyHostToDevice),
                     "RoPE frequencies");
}

Result<void> HybridForward::open_host_side() {
  TRY(exchange_.create(model_.config, limits_));
  const WorkspaceLimits cpu = {.max_rows = std::min(options_.few_rows, limits_.max_rows),
                               .max_logit_rows = 1,
                               .max_context = 1,
                               .thread_count = pool_.thread_count()};
  cpu_buffer_ = TRY(HostBuffer::create(
      shoehorn::workspace_bytes<ThreadPool>(model_.config, cpu), "the CPU's workspace"));
  cpu_work_ = place_workspace<ThreadPool>(model_.config, cpu, cpu_buffer_.bytes());
  return cuda_result(cudaEventCreateWithFlags(&normed_ready_, cudaEventDisableTiming), "an event");
}

void HybridForward::add_pieces(int64_t layer, StreamedRange range,
                               Streamer::Schedule& schedule) const {
  for (int64_t group = range.begin; group < range.end; group += plan_.slot_groups) {
    const int64_t end = std::min(group + plan_.slot_groups, range.end);
    schedule.push_back({host_group(layer, group),
                        static_cast<uint64_t>(end - group) * groups(layer).stride_bytes});
  }
}

// The part of a wave (of groups) that is not in VRAM.
StreamedRange outside(const GroupCounts& counts, int64_t begin, int64_t end) {
  return {std::max(begin, counts.vram), std::max(end, counts.vram)};
}

void HybridForward::make_schedules() {
  for (int64_t layer = 0; layer < model_.config.num_hidden_layers; ++layer) {
    const GroupCounts& counts = plan_.layers[layer];
    const int64_t count = groups(layer).count;
    add_pieces(layer, {count - counts.stream, count}, few_schedule_);
    for (int64_t begin = 0; begin < count; begin += wave_groups()) {
      add_pieces(layer, outside(counts, begin, std::min(begin + wave_groups(), count)),
                 many_schedule_);
    }
  }
}

Result<void> HybridForward::begin(const Batch& batch) {
  TRY(gpu_->wait());  // the host side of the exchange is used again
  const int64_t m = batch.rows();
  x_ = work_.residual.slice(0, m);
  card_step_->upload(batch, options_.kv.page_tokens, gpu_->stream());
  const Weight table =
      block(model_.layout.embedding_block()).weight(TensorRole::embedding, weights_.embedding.data());
  embedding(pool_, table, batch.tokens, exchange_.rows.slice(0, m));
  const auto bytes = static_cast<size_t>(m * model_.config.hidden_size) * sizeof(float);
  CUDA_CHECK(cudaMemcpyAsync(x_.data, exchange_.rows.data, bytes, cudaMemcpyHostToDevice,
                             gpu_->stream()));
  rope_angles(*gpu_, card_step_->positions(), frequencies_, model_.rope.magnitude,
              work_.cosines.slice(0, m), work_.sines.slice(0, m));
  if (streamer_) streamer_->follow(few_rows() ? &few_schedule_ : &many_schedule_);
  return {};
}

Result<void> HybridForward::attention(int64_t layer) {
  const int number = model_.layout.attention_block(layer);
  attention_gqa(step(), AttentionWeights::bind(block(number), weights_.card_blocks[number]),
                kv_.layer(layer), x_);
  return {};
}

Result<void> HybridForward::feed_forward(int64_t layer) {
  const int number = model_.layout.feed_forward_block(layer);
  const float* norm = block(number).vector(TensorRole::ffn_norm, weights_.card_blocks[number]);
  const GpuActivationRows n = feed_forward_norm(step(), norm, x_);
  if (few_rows()) return shared_feed_forward(layer, n);
  streamed_feed_forward(layer, n);
  return {};
}

void HybridForward::take_pieces(int64_t layer, StreamedRange range, GroupTable& table) {
  for (int64_t group = range.begin; group < range.end; group += plan_.slot_groups) {
    const std::byte* piece = streamer_->acquire(gpu_->stream());
    for (int64_t g = group; g < std::min(group + plan_.slot_groups, range.end); ++g) {
      table.place(g, piece + static_cast<uint64_t>(g - group) * groups(layer).stride_bytes);
    }
  }
}

void HybridForward::give_back_pieces(StreamedRange range) {
  for (int64_t i = pieces_of(range); i > 0; --i) streamer_->release(gpu_->stream());
}

// The groups of a layer that are in VRAM.
GroupTable table_in_vram(const BlockLayout& block, const std::byte* base, int64_t count) {
  GroupTable table(block);
  for (int64_t group = 0; group < count; ++group) {
    table.place(group, base + block.groups.offset +
                           static_cast<uint64_t>(group) * block.groups.stride_bytes);
  }
  return table;
}

// Card and CPU side by side.
Result<void> HybridForward::shared_feed_forward(int64_t layer, const GpuActivationRows& n) {
  const int number = model_.layout.feed_forward_block(layer);
  const GroupCounts& counts = plan_.layers[layer];
  const int64_t count = groups(layer).count;
  const auto bytes = static_cast<size_t>(x_.rows() * x_.columns()) * sizeof(float);
  if (counts.cpu > 0) {
    CUDA_CHECK(cudaMemcpyAsync(exchange_.normed.data, n.values.data, bytes, cudaMemcpyDeviceToHost,
                               gpu_->stream()));
    CUDA_CHECK(cudaEventRecord(normed_ready_, gpu_->stream()));
  }
  GroupTable table = table_in_vram(block(number), weights_.card_blocks[number], counts.vram);
  const StreamedRange streamed = {count - counts.stream, count};
  take_pieces(layer, streamed, table);
  if (counts.vram + counts.stream > 0) neuron_groups(step(), n, table, {0, count}, {.tensor = x_});
  give_back_pieces(streamed);
  if (counts.cpu == 0) return {};

  TRY(compute_on_cpu(layer));
  const Tensor sums = cpu_sums_.slice(0, x_.rows());
  CUDA_CHECK(cudaMemcpyAsync(sums.data, exchange_.sums.data, bytes, cudaMemcpyHostToDevice,
                             gpu_->stream()));
  add_rows(*gpu_, x_, sums);
  return {};
}

Result<void> HybridForward::compute_on_cpu(int64_t layer) {
  const GroupCounts& counts = plan_.layers[layer];
  GroupTable table(block(model_.layout.feed_forward_block(layer)));
  for (int64_t g = counts.vram; g < counts.vram + counts.cpu; ++g) {
    table.place(g, host_group(layer, g));
  }
  TRY(cuda_result(cudaEventSynchronize(normed_ready_), "GPU: computing"));
  const int64_t m = x_.rows();
  const ActivationRows rows =
      prepare_activations(pool_, exchange_.normed.slice(0, m), cpu_work_.activation_scratch,
                          options_.precision);
  const StepContext<ThreadPool> cpu = {pool_, model_.config, cpu_work_, options_.precision, {}};
  neuron_groups(cpu, rows, table, {counts.vram, counts.vram + counts.cpu},
                {.tensor = exchange_.sums.slice(0, m), .mode = OutputMode::store});
  return {};
}

// Wave after wave on the card. Waves are the same whatever lies where, and so are their sums.
void HybridForward::streamed_feed_forward(int64_t layer, const GpuActivationRows& n) {
  const int number = model_.layout.feed_forward_block(layer);
  const GroupCounts& counts = plan_.layers[layer];
  GroupTable table = table_in_vram(block(number), weights_.card_blocks[number], counts.vram);
  for (int64_t begin = 0; begin < table.count(); begin += wave_groups()) {
    const int64_t end = std::min(begin + wave_groups(), table.count());
    const StreamedRange streamed = outside(counts, begin, end);
    take_pieces(layer, streamed, table);
    neuron_groups(step(), n, table, {begin, end}, {.tensor = x_});
    give_back_pieces(streamed);
  }
}

Result<Tensor> HybridForward::head(std::span<const int64_t> rows) {
  const ModelLayout& layout = model_.layout;
  const auto count = static_cast<int64_t>(rows.size());
  // The rows' numbers and logits of the call before are still on their way.
  TRY(gpu_->wait());
  std::copy(rows.begin(), rows.end(), exchange_.head_rows);
  CUDA_CHECK(cudaMemcpyAsync(head_rows_, exchange_.head_rows, rows.size() * sizeof(int32_t),
                             cudaMemcpyHostToDevice, gpu_->stream()));
  const Tensor picked = work_.head_rows.slice(0, count);
  gather_rows(*gpu_, x_, head_rows_, picked);
  const Tensor logits = shoehorn::head(
      step(),
      HeadWeights::bind(layout, weights_.card_blocks[layout.head_block()],
                        weights_.card_blocks[layout.embedding_block()]),
      picked);
  const Tensor host = exchange_.logits.slice(0, count);
  CUDA_CHECK(cudaMemcpyAsync(host.data, logits.data,
                             static_cast<size_t>(count * logits.columns()) * sizeof(float),
                             cudaMemcpyDeviceToHost, gpu_->stream()));
  TRY(gpu_->wait());
  return host;
}

WeightBytes HybridForward::weight_bytes() const {
  WeightBytes bytes = {.vram = plan_.fixed + plan_.groups};
  for (size_t layer = 0; layer < plan_.layers.size(); ++layer) {
    const uint64_t group = groups(static_cast<int64_t>(layer)).stride_bytes;
    bytes.cpu += static_cast<uint64_t>(plan_.layers[layer].cpu) * group;
    bytes.stream += static_cast<uint64_t>(plan_.layers[layer].stream) * group;
  }
  return bytes;
}

std::string HybridForward::describe() const {
  const WeightBytes bytes = weight_bytes();
  return fmt::format(
      "{}: {} of weights and {} of cache in VRAM; in host memory {} for the CPU, {} streamed",
      gpu_->facts().name, format_bytes(bytes.vram), format_bytes(plan_.kv),
      format_bytes(bytes.cpu), format_bytes(bytes.stream));
}

}  // namespace

Result<std::unique_ptr<Forward>> open_on_card(ThreadPool& pool, const Model& model,
                                              const Checkpoint& checkpoint,
                                              const CardRequest& request) {
  auto gpu = TRY(Gpu::open(request.gpu));
  auto forward = std::make_unique<HybridForward>(pool, std::move(gpu), model, request.hybrid);
  TRY(forward->open(checkpoint, request.progress));
  return std::unique_ptr<Forward>(std::move(forward));
}

}  // namespace shoehorn
