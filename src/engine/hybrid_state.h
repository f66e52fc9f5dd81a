// HybridForward's state: what hybrid_open_cuda.cc sets up and hybrid_forward_cuda.cc computes with.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>

#include "engine/card_recorder.h"
#include "engine/card_step.h"
#include "engine/hybrid_forward.h"
#include "engine/hybrid_weights.h"
#include "engine/split.h"
#include "engine/step_graphs.h"

namespace shoehorn {

// Host memory that the card copies to and from: activations, one exchange a layer.
struct Exchange {
  HostBuffer buffer;
  Pin pin;
  Tensor rows;    // [max rows, h]: embeddings in
  Tensor normed;  // [few rows, h]: out to the CPU
  Tensor sums;    // [few rows, h]: back from it
  Tensor logits;  // [logit rows, V]
  int32_t* head_rows = nullptr;
  int32_t* sent_tokens = nullptr;  // [2, few rows]: chosen by the card, written by it

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
    sent_tokens = arena.take_array<int32_t>(2 * kFewRows);
  }
};

class HybridForward final : public Forward {
 public:
  HybridForward(ThreadPool& pool, std::unique_ptr<Gpu> gpu, const Model& model,
                const HybridOptions& options)
      : pool_(pool), gpu_(std::move(gpu)), model_(model), options_(options) {}
  ~HybridForward() override {
    cudaStreamSynchronize(gpu_->stream());
    for (const cudaEvent_t event : {normed_ready_, chosen_[0], chosen_[1]}) {
      if (event != nullptr) cudaEventDestroy(event);
    }
  }

  Result<void> open(const Checkpoint& checkpoint, const LoadProgress& progress);

  Result<void> begin(const Batch& batch) override;
  Result<void> attention(int64_t layer) override;
  Result<void> feed_forward(int64_t layer) override;
  Result<Tensor> head(std::span<const int64_t> rows) override;
  int64_t decodes() const override;
  Result<std::span<const int32_t>> decode(const Batch& batch,
                                          std::span<const DecodeRow> rows) override;

  PagedKv& kv() override { return kv_; }
  const WorkspaceLimits& limits() const override { return limits_; }
  uint64_t workspace_bytes() const override { return plan_.workspace; }
  uint64_t vram_bytes() const override {
    const Result<uint64_t> bytes = gpu_process_bytes(gpu_->facts().index);
    return bytes.ok() ? *bytes : 0;
  }
  uint64_t vram_budget_bytes() const override { return options_.vram_budget_bytes; }
  uint64_t ram_budget_bytes() const override { return options_.ram_budget_bytes; }
  WeightBytes weight_bytes() const override;
  std::string describe() const override;
  Result<void> start_recording() override;
  Result<TimelineStep> take_recording() override;
  std::span<const std::byte> host_weights() const override { return weights_.host.bytes(); }

 private:
  Result<void> plan_and_place();
  Result<void> place_on_card();
  Result<void> plan_host();
  uint64_t plan_outside_vram() const { return ram_.attention + ram_.groups + ram_.disk; }
  Result<void> open_host_side();
  Split make_split(int64_t max_rows, double share) const;
  Split make_streamed(int64_t max_rows) const;
  void add_pieces(int64_t layer, GroupRange range, Streamer::Schedule& schedule) const;
  Result<void> choose_splits();
  Result<Split> fastest_split(int64_t rows, double middle);
  Result<double> trial_seconds(const Split& split);

  const BlockLayout& block(int number) const { return model_.layout.blocks[number]; }
  const NeuronGroups& groups(int64_t layer) const {
    return block(model_.layout.feed_forward_block(layer)).groups;
  }
  const std::byte* host_group(int64_t layer, int64_t group) const {
    return weights_.host_layers[layer] +
           static_cast<uint64_t>(group - plan_.vram_groups[layer]) * groups(layer).stride_bytes;
  }
  int64_t wave_groups() const { return limits_.wave_neurons / groups(0).neurons; }

  StepContext<Gpu> step() {
    return {*gpu_, model_.config, work_, options_.precision, card_step_->spans()};
  }
  Result<void> take_pieces(int64_t layer, GroupRange range, GroupTable& table);
  void give_back_pieces(GroupRange range);
  const Split& split_of(int64_t rows) const {
    const auto found = std::find_if(splits_.begin(), splits_.end(),
                                    [&](const Split& split) { return rows <= split.max_rows; });
    return found == splits_.end() ? many_rows_ : *found;
  }
  void start(int64_t rows, const Split& split);
  void begin_with(const Batch& batch, const Split& split);
  void turn_angles();
  HeadWeights head_weights() const {
    const ModelLayout& layout = model_.layout;
    return HeadWeights::bind(layout, weights_.card_blocks[layout.head_block()],
                             weights_.card_blocks[layout.embedding_block()]);
  }

  // A row of the step that is computed ahead (hybrid_decode_cuda.cc).
  struct AheadRow {
    const int32_t* pages = nullptr;
    int64_t position = 0;
    int32_t token = 0;
    Choice choice;
    bool operator==(const AheadRow&) const = default;
  };
  Result<void> open_decode();
  Result<void> queue_decode(int64_t rows, int64_t context);
  Result<void> queue_decode_kernels(int64_t rows);
  void expect(const Batch& batch, std::span<const DecodeRow> rows);
  static bool find_ahead(std::span<const AheadRow> ahead, const Batch& batch,
                         std::span<const DecodeRow> rows, std::vector<int64_t>& places);
  int64_t pieces_of(GroupRange range) const {
    return (range.end - range.begin + plan_.slot_groups - 1) / plan_.slot_groups;
  }
  Result<void> shared_feed_forward(int64_t layer, const GpuActivationRows& n);
  Result<void> streamed_feed_forward(int64_t layer, const GpuActivationRows& n);
  Result<void> compute_on_cpu(int64_t layer);
  CardSpan card_span(const char* name, int64_t layer) {
    return {recorder_.get(), gpu_->stream(), name, layer};
  }
  CpuSpan cpu_span(const char* name, int64_t layer) {
    return {recorder_ ? recorder_->cpu() : nullptr, name, layer};
  }

  ThreadPool& pool_;
  std::unique_ptr<Gpu> gpu_;
  const Model& model_;
  HybridOptions options_;
  WorkspaceLimits limits_;
  CardPlan plan_;
  RamPlan ram_;

  VramBudget vram_;  // what is left of the budget beside the context
  GpuBuffer card_;   // everything of ours in VRAM
  HybridWeights weights_;
  Workspace work_;
  PagedKv kv_;
  std::unique_ptr<CardStep> card_step_;
  double* frequencies_ = nullptr;                            // on the card
  Tensor cpu_sums_;  // [few rows, h]: exchange_.sums as the card sees it
  int32_t* head_rows_ = nullptr;                             // on the card
  std::unique_ptr<Streamer> streamer_, attention_streamer_;  // null: nothing is streamed
  Streamer::Schedule attention_schedule_;
  std::vector<Split> splits_;  // by rows, ascending
  Split many_rows_;
  const Split* split_ = nullptr;  // of this step
  std::unique_ptr<CardRecorder> recorder_;  // null: nobody asked

  Exchange exchange_;
  HostBuffer cpu_buffer_;
  Workspace cpu_work_;
  cudaEvent_t normed_ready_ = nullptr;

  Pin embedding_pin_;
  const std::byte* embedding_on_card_ = nullptr;  // read by the card, wherever it lies
  int32_t* sent_on_card_ = nullptr;               // exchange_.sent_tokens as the card sees it
  int32_t* masked_ = nullptr;                     // model_.masked_ids on the card
  bool repeats_ = false;                          // decoding takes the card alone
  StepGraphs graphs_;
  cudaEvent_t chosen_[2] = {};  // the tokens of a step are in exchange_
  int turn_ = 0;                // the one of the step queued last
  std::vector<AheadRow> ahead_;
  std::vector<int64_t> ahead_places_;
  std::vector<int32_t> chosen_tokens_;

  Tensor x_;  // the step's residual stream on the card, [rows, h]
};

// The part of groups [begin, end) that is not in VRAM.
inline GroupRange outside_vram(int64_t vram, int64_t begin, int64_t end) {
  return {std::max(begin, vram), std::max(end, vram)};
}

}  // namespace shoehorn
