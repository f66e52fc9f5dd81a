#include <cstring>
#include <optional>

#include "base/bytes.h"
#include "engine/forward.h"
#include "ops/embedding.h"

namespace shoehorn {
namespace {

class HostForward final : public Forward {
 public:
  HostForward(ThreadPool& pool, const Model& model, const HostForwardOptions& options)
      : pool_(pool), model_(model), options_(options) {}

  Result<void> allocate(std::unique_ptr<WeightSource> weights) {
    weights_ = std::move(weights);
    const uint64_t work = shoehorn::workspace_bytes<ThreadPool>(model_.config, options_.limits);
    work_buffer_ = TRY(HostBuffer::create(work, "the workspace"));
    work_ = place_workspace<ThreadPool>(model_.config, options_.limits, work_buffer_.bytes());
    const uint64_t kv = PagedKv::size_bytes(model_.config, options_.kv);
    kv_buffer_ = TRY(HostBuffer::create(kv, "the KV cache"));
    kv_ = PagedKv(model_.config, options_.kv, kv_buffer_.data());
    return {};
  }

  Result<void> start_recording() override {
    recorder_.emplace();
    return {};
  }
  Result<TimelineStep> take_recording() override {
    CHECK(recorder_.has_value(), "nothing is recorded");
    TimelineStep step = recorder_->take();
    recorder_.reset();
    return step;
  }

  Result<void> begin(const Batch& batch) override {
    const CpuSpan span = cpu_span("embedding", -1);
    head_lease_.reset();
    table_lease_.reset();
    x_ = work_.residual.slice(0, batch.rows());
    spans_ = batch.spans;
    const int block = model_.layout.embedding_block();
    const Lease lease = TRY(weights_->acquire(block));
    embedding(pool_, model_.layout.blocks[block].weight(TensorRole::embedding, lease.data()),
              batch.tokens, x_);
    rope_angles(pool_, batch.positions, model_.rope, work_.cosines.slice(0, batch.rows()),
                work_.sines.slice(0, batch.rows()));
    return {};
  }

  Result<void> attention(int64_t layer) override {
    const CpuSpan span = cpu_span("attention", layer);
    const int block = model_.layout.attention_block(layer);
    weights_->prefetch(block + 1);
    const Lease lease = TRY(weights_->acquire(block));
    attention_gqa(step(), AttentionWeights::bind(model_.layout.blocks[block], lease.data()),
                  kv_.layer(layer), x_);
    return {};
  }

  Result<void> feed_forward(int64_t layer) override {
    const CpuSpan span = cpu_span("feed-forward", layer);
    const int number = model_.layout.feed_forward_block(layer);
    const BlockLayout& block = model_.layout.blocks[number];
    weights_->prefetch(number + 1);  // the next layer, or what the head needs
    const Lease lease = TRY(weights_->acquire(number));
    GroupTable table(block);
    table.place_all(lease.data());
    const ActivationRows n =
        feed_forward_norm(step(), block.vector(TensorRole::ffn_norm, lease.data()), x_);
    neuron_groups(step(), n, table, {0, table.count()}, {.tensor = x_});
    return {};
  }

  Result<Tensor> head(std::span<const int64_t> rows) override {
    const ModelLayout& layout = model_.layout;
    if (!head_lease_) {
      table_lease_.emplace(TRY(weights_->acquire(layout.embedding_block())));
      head_lease_.emplace(TRY(weights_->acquire(layout.head_block())));
    }
    const HeadWeights weights =
        HeadWeights::bind(layout, head_lease_->data(), table_lease_->data());
    const CpuSpan span = cpu_span("head", -1);
    const Tensor picked = work_.head_rows.slice(0, static_cast<int64_t>(rows.size()));
    for (size_t i = 0; i < rows.size(); ++i) {
      std::memcpy(picked.row<float>(static_cast<int64_t>(i)), x_.row<float>(rows[i]),
                  static_cast<size_t>(x_.columns()) * sizeof(float));
    }
    return shoehorn::head(step(), weights, picked);
  }

  PagedKv& kv() override { return kv_; }
  const WorkspaceLimits& limits() const override { return options_.limits; }
  uint64_t workspace_bytes() const override { return work_buffer_.size_bytes(); }
  WeightBytes weight_bytes() const override {
    return {.cpu = model_.layout.size_bytes(), .disk = weights_->disk_bytes()};
  }
  std::string describe() const override {
    const WeightBytes bytes = weight_bytes();
    if (bytes.disk == 0) return "everything in host memory";
    return fmt::format("{} of weights in host memory, {} read from disk in every step",
                       format_bytes(bytes.cpu - bytes.disk), format_bytes(bytes.disk));
  }
  std::span<const std::byte> host_weights() const override { return weights_->resident(); }

 private:
  StepContext<ThreadPool> step() {
    return {pool_, model_.config, work_, options_.precision, spans_};
  }
  CpuSpan cpu_span(const char* name, int64_t layer) {
    return {recorder_ ? &*recorder_ : nullptr, name, layer};
  }

  ThreadPool& pool_;
  const Model& model_;
  HostForwardOptions options_;
  std::unique_ptr<WeightSource> weights_;
  std::optional<Lease> head_lease_, table_lease_;  // from the first head() of a step on
  HostBuffer work_buffer_, kv_buffer_;
  Workspace work_;
  PagedKv kv_;
  Tensor x_;  // the step's residual stream, [rows, h]
  std::span<const AttentionSpan> spans_;
  std::optional<SpanRecorder> recorder_;  // none: nobody asked
};

}  // namespace

Result<std::unique_ptr<Forward>> make_host_forward(ThreadPool& pool, const Model& model,
                                                   std::unique_ptr<WeightSource> weights,
                                                   const HostForwardOptions& options) {
  auto forward = std::make_unique<HostForward>(pool, model, options);
  TRY(forward->allocate(std::move(weights)));
  return std::unique_ptr<Forward>(std::move(forward));
}

}  // namespace shoehorn
