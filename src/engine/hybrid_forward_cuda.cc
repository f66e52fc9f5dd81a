// One step of a hybrid model; hybrid_forward.h has the picture.
#include <algorithm>

#include "base/bytes.h"
#include "base/cuda_check.h"
#include "engine/hybrid_state.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"

namespace shoehorn {

Result<void> HybridForward::begin(const Batch& batch) {
  TRY(gpu_->wait());  // the host side of the exchange is used again
  ahead_.clear();
  begin_with(batch, split_of(batch.rows()));
  return {};
}

void HybridForward::start(int64_t rows, const Split& split) {
  split_ = &split;
  if (streamer_) streamer_->follow(&split.schedule);
  if (attention_streamer_) attention_streamer_->follow(&attention_schedule_);
  x_ = work_.residual.slice(0, rows);
}

void HybridForward::begin_with(const Batch& batch, const Split& split) {
  const int64_t m = batch.rows();
  start(m, split);
  card_step_->upload(batch, options_.kv.page_tokens, gpu_->stream());
  const Weight table = block(model_.layout.embedding_block())
                           .weight(TensorRole::embedding, weights_.embedding.data());
  {
    const CpuSpan span = cpu_span("embedding", -1);
    embedding(pool_, table, batch.tokens, exchange_.rows.slice(0, m));
  }
  const CardSpan span = card_span("embedding", -1);
  const auto bytes = static_cast<size_t>(m * model_.config.hidden_size) * sizeof(float);
  CUDA_CHECK(
      cudaMemcpyAsync(x_.data, exchange_.rows.data, bytes, cudaMemcpyHostToDevice, gpu_->stream()));
  turn_angles();
}

void HybridForward::turn_angles() {
  rope_angles(*gpu_, card_step_->positions(), frequencies_, model_.rope.magnitude,
              work_.cosines.slice(0, x_.rows()), work_.sines.slice(0, x_.rows()));
}

Result<void> HybridForward::attention(int64_t layer) {
  const int number = model_.layout.attention_block(layer);
  const bool streamed = weights_.card_blocks[number] == nullptr;
  const std::byte* weights = weights_.card_blocks[number];
  if (streamed) weights = TRY(attention_streamer_->acquire(gpu_->stream()));
  {
    const CardSpan span = card_span("attention", layer);
    attention_gqa(step(), AttentionWeights::bind(block(number), weights), kv_.layer(layer), x_);
  }
  if (streamed) attention_streamer_->release(gpu_->stream());
  return {};
}

Result<void> HybridForward::feed_forward(int64_t layer) {
  const int number = model_.layout.feed_forward_block(layer);
  const float* norm = block(number).vector(TensorRole::ffn_norm, weights_.card_blocks[number]);
  const GpuActivationRows n = feed_forward_norm(step(), norm, x_);
  return split_->all_streamed ? streamed_feed_forward(layer, n) : shared_feed_forward(layer, n);
}

Result<void> HybridForward::take_pieces(int64_t layer, GroupRange range, GroupTable& table) {
  for (int64_t group = range.begin; group < range.end; group += plan_.slot_groups) {
    const std::byte* piece = TRY(streamer_->acquire(gpu_->stream()));
    for (int64_t g = group; g < std::min(group + plan_.slot_groups, range.end); ++g) {
      table.place(g, piece + static_cast<uint64_t>(g - group) * groups(layer).stride_bytes);
    }
  }
  return {};
}

void HybridForward::give_back_pieces(GroupRange range) {
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
  const GroupCounts& counts = split_->layers[layer];
  const int64_t count = groups(layer).count;
  const auto bytes = static_cast<size_t>(x_.rows() * x_.columns()) * sizeof(float);
  if (counts.cpu > 0) {
    CUDA_CHECK(cudaMemcpyAsync(exchange_.normed.data, n.values.data, bytes, cudaMemcpyDeviceToHost,
                               gpu_->stream()));
    CUDA_CHECK(cudaEventRecord(normed_ready_, gpu_->stream()));
  }
  GroupTable table = table_in_vram(block(number), weights_.card_blocks[number], counts.vram);
  const GroupRange streamed = {count - counts.stream, count};
  TRY(take_pieces(layer, streamed, table));
  if (counts.vram + counts.stream > 0) {
    const CardSpan span = card_span("feed-forward", layer);
    neuron_groups(step(), n, table, {0, count}, {.tensor = x_});
  }
  give_back_pieces(streamed);
  if (counts.cpu == 0) return {};

  TRY(compute_on_cpu(layer));
  const CardSpan span = card_span("the CPU's sums", layer);
  // The kernel reads host memory itself: a copy would wait behind the piece that is on its way, up
  // to 1.6 ms in each layer.
  add_rows(*gpu_, x_, cpu_sums_.slice(0, x_.rows()));
  return {};
}

Result<void> HybridForward::compute_on_cpu(int64_t layer) {
  const GroupCounts& counts = split_->layers[layer];
  GroupTable table(block(model_.layout.feed_forward_block(layer)));
  for (int64_t g = counts.vram; g < counts.vram + counts.cpu; ++g) {
    table.place(g, host_group(layer, g));
  }
  TRY(cuda_result(cudaEventSynchronize(normed_ready_), "GPU: computing"));
  const CpuSpan span = cpu_span("feed-forward", layer);
  const int64_t m = x_.rows();
  const ActivationRows rows = prepare_activations(pool_, exchange_.normed.slice(0, m),
                                                  cpu_work_.activation_scratch, options_.precision);
  const StepContext<ThreadPool> cpu = {pool_, model_.config, cpu_work_, options_.precision, {}};
  neuron_groups(cpu, rows, table, {counts.vram, counts.vram + counts.cpu},
                {.tensor = exchange_.sums.slice(0, m), .mode = OutputMode::store});
  return {};
}

// Wave after wave on the card. Waves are the same whatever lies where, and so are their sums.
Result<void> HybridForward::streamed_feed_forward(int64_t layer, const GpuActivationRows& n) {
  const int number = model_.layout.feed_forward_block(layer);
  const int64_t vram = plan_.vram_groups[layer];
  GroupTable table = table_in_vram(block(number), weights_.card_blocks[number], vram);
  for (int64_t begin = 0; begin < table.count(); begin += wave_groups()) {
    const int64_t end = std::min(begin + wave_groups(), table.count());
    const GroupRange streamed = outside_vram(vram, begin, end);
    TRY(take_pieces(layer, streamed, table));
    {
      const CardSpan span = card_span("feed-forward", layer);
      neuron_groups(step(), n, table, {begin, end}, {.tensor = x_});
    }
    give_back_pieces(streamed);
  }
  return {};
}

Result<Tensor> HybridForward::head(std::span<const int64_t> rows) {
  const auto count = static_cast<int64_t>(rows.size());
  // The rows' numbers and logits of the call before are still on their way.
  TRY(gpu_->wait());
  std::copy(rows.begin(), rows.end(), exchange_.head_rows);
  CUDA_CHECK(cudaMemcpyAsync(head_rows_, exchange_.head_rows, rows.size() * sizeof(int32_t),
                             cudaMemcpyHostToDevice, gpu_->stream()));
  const CardSpan span = card_span("head", -1);
  const Tensor picked = work_.head_rows.slice(0, count);
  gather_rows(*gpu_, x_, head_rows_, picked);
  const Tensor logits = shoehorn::head(step(), head_weights(), picked);
  const Tensor host = exchange_.logits.slice(0, count);
  CUDA_CHECK(cudaMemcpyAsync(host.data, logits.data,
                             static_cast<size_t>(count * logits.columns()) * sizeof(float),
                             cudaMemcpyDeviceToHost, gpu_->stream()));
  TRY(gpu_->wait());
  return host;
}

WeightBytes HybridForward::weight_bytes() const {
  WeightBytes bytes = {.vram = plan_.fixed + plan_.attention + plan_.groups};
  for (const Streamer::Piece& piece : attention_schedule_) bytes.stream += piece.bytes;
  const std::vector<GroupCounts>& layers = splits_.front().layers;
  for (size_t layer = 0; layer < layers.size(); ++layer) {
    const uint64_t group = groups(static_cast<int64_t>(layer)).stride_bytes;
    bytes.cpu += static_cast<uint64_t>(layers[layer].cpu) * group;
    bytes.stream += static_cast<uint64_t>(layers[layer].stream) * group;
  }
  bytes.disk = ram_.disk;
  return bytes;
}

std::string HybridForward::describe() const {
  const WeightBytes bytes = weight_bytes();
  std::string text = fmt::format(
      "{}: {} of weights and {} of cache in VRAM; in host memory {} for the CPU, {} streamed",
      gpu_->facts().name, format_bytes(bytes.vram), format_bytes(plan_.kv), format_bytes(bytes.cpu),
      format_bytes(bytes.stream - bytes.disk));
  if (bytes.disk > 0) text += fmt::format("; {} streamed from disk", format_bytes(bytes.disk));
  return text;
}

}  // namespace shoehorn
