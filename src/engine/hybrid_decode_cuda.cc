// Steps that decode: tokens are chosen on the card, and where everything is in VRAM the card is
// never without work.
//
//   host   | tokens n ->  caller: text, stops  | tokens n+1 -> ...
//   card   | step n+1 (its tokens are step n's, on the card)  | step n+2 ...
//
// Before the host waits for the tokens of step n it queues step n + 1 behind it, for the same
// sequences. If the caller then asks for that step, or for a part of its rows, it is already under
// way; if a sequence ended or another came in, what was computed ahead is dropped: it wrote nothing
// but the next, still unused place of each sequence's cache.
#include <algorithm>
#include <bit>
#include <numeric>

#include "base/cuda_check.h"
#include "engine/hybrid_state.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"

namespace shoehorn {
namespace {

// Steps of contexts up to the same power of two are queued alike.
int64_t context_class(int64_t context, int64_t most) {
  constexpr uint64_t kLeast = 128;
  return std::min(most, static_cast<int64_t>(std::bit_ceil(std::max<uint64_t>(context, kLeast))));
}

int64_t longest_context(const Batch& batch) {
  int64_t longest = 0;
  for (const AttentionSpan& span : batch.spans) {
    longest = std::max(longest, span.first_position + span.row_count);
  }
  return longest;
}

}  // namespace

int64_t HybridForward::decodes() const {
  return std::min({kFewRows, limits_.max_rows, limits_.max_logit_rows});
}

Result<std::span<const int32_t>> HybridForward::decode(const Batch& batch,
                                                       std::span<const DecodeRow> rows) {
  const std::vector<AheadRow> expected = std::exchange(ahead_, {});
  std::vector<int64_t>& places = ahead_places_;
  const bool under_way = find_ahead(expected, batch, rows, places);
  const auto queued_rows = under_way ? static_cast<int64_t>(expected.size()) : batch.rows();
  if (!under_way) {
    TRY(gpu_->wait());
    card_step_->upload_decode(batch, rows, options_.kv.page_tokens, gpu_->stream());
    TRY(queue_decode(batch.rows(), longest_context(batch)));
  }
  const bool goes_on = repeats_ && !recorder_ && queued_rows == batch.rows() &&
                       std::any_of(rows.begin(), rows.end(), [](auto& row) { return !row.last; });
  cudaEvent_t chosen = chosen_[turn_];
  if (goes_on) {
    turn_ = 1 - turn_;
    TRY(queue_decode(batch.rows(), longest_context(batch) + 1));
  }
  TRY(cuda_result(cudaEventSynchronize(chosen), "GPU: computing"));

  chosen_tokens_.resize(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t half = static_cast<int64_t>(rows[i].choice.draw % 2) * queued_rows;
    chosen_tokens_[i] = exchange_.sent_tokens[half + places[i]];
  }
  if (goes_on) expect(batch, rows);
  return std::span<const int32_t>(chosen_tokens_);
}

// The rows that the step ahead computes: those of this step, a token further.
void HybridForward::expect(const Batch& batch, std::span<const DecodeRow> rows) {
  for (size_t i = 0; i < rows.size(); ++i) {
    AheadRow row = {.pages = batch.spans[i].pages,
                    .position = batch.positions[i] + 1,
                    .token = chosen_tokens_[i],
                    .choice = rows[i].choice};
    ++row.choice.draw;
    ahead_.push_back(row);
  }
}

// places[i]: where row i of the batch is among those that were computed ahead. False: one is not;
// places are then those of the batch itself.
bool HybridForward::find_ahead(std::span<const AheadRow> ahead, const Batch& batch,
                               std::span<const DecodeRow> rows, std::vector<int64_t>& places) {
  places.clear();
  for (size_t i = 0; i < rows.size(); ++i) {
    const AheadRow wanted = {.pages = batch.spans[i].pages,
                             .position = batch.positions[i],
                             .token = batch.tokens[i],
                             .choice = rows[i].choice};
    const auto found = std::find(ahead.begin(), ahead.end(), wanted);
    if (found == ahead.end()) break;
    places.push_back(found - ahead.begin());
  }
  if (places.size() == rows.size()) return true;
  places.resize(rows.size());
  std::iota(places.begin(), places.end(), 0);
  return false;
}

// The step that card_step_ holds, or that the step before left there.
Result<void> HybridForward::queue_decode(int64_t rows, int64_t context) {
  const int64_t reach = context_class(context, limits_.max_context);
  card_step_->reach(reach);
  Result<void> queued;
  if (repeats_ && !recorder_) {  // a graph has no events that are timed
    graphs_.run(gpu_->stream(), {rows, reach}, [&] { queued = queue_decode_kernels(rows); });
  } else {
    queued = queue_decode_kernels(rows);
  }
  TRY(std::move(queued));
  return cuda_result(cudaEventRecord(chosen_[turn_], gpu_->stream()), "GPU: computing");
}

Result<void> HybridForward::queue_decode_kernels(int64_t rows) {
  start(rows, split_of(rows));
  const ModelLayout& layout = model_.layout;
  const Weight table =
      block(layout.embedding_block()).weight(TensorRole::embedding, embedding_on_card_);
  {
    const CardSpan span = card_span("embedding", -1);
    embedding(*gpu_, table, card_step_->tokens(), x_);
    turn_angles();
  }
  for (int64_t layer = 0; layer < model_.config.num_hidden_layers; ++layer) {
    TRY(attention(layer));
    TRY(feed_forward(layer));
  }
  const CardSpan span = card_span("head", -1);
  const Tensor logits = shoehorn::head(step(), head_weights(), x_);
  choose(*gpu_, logits,
         {.masked = masked_,
          .masked_count = static_cast<int64_t>(model_.masked_ids.size()),
          .choices = card_step_->choices(),
          .tokens = card_step_->tokens(),
          .sent_tokens = sent_on_card_});
  next_tokens(*gpu_, card_step_->next_spans(), card_step_->next_positions(), rows);
  return {};
}

// What decoding needs on the card beside the step's own.
Result<void> HybridForward::open_decode() {
  const int number = model_.layout.embedding_block();
  embedding_on_card_ = weights_.card_blocks[number];
  if (embedding_on_card_ == nullptr) {  // rows are read over the bus, one for each token
    embedding_pin_ = TRY(Pin::create(weights_.embedding.bytes()));
    embedding_on_card_ = TRY(seen_by_card(weights_.embedding.data()));
  }
  std::byte* sent = reinterpret_cast<std::byte*>(exchange_.sent_tokens);
  sent_on_card_ = reinterpret_cast<int32_t*>(TRY(seen_by_card(sent)));
  TRY(cuda_result(cudaMemcpy(masked_, model_.masked_ids.data(),
                             model_.masked_ids.size() * sizeof(int32_t), cudaMemcpyHostToDevice),
                  "masked tokens"));
  for (cudaEvent_t& event : chosen_) {
    TRY(cuda_result(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "an event"));
  }
  repeats_ = attention_streamer_ == nullptr;
  for (int64_t layer = 0; layer < model_.config.num_hidden_layers; ++layer) {
    repeats_ = repeats_ && plan_.vram_groups[layer] == groups(layer).count;
  }
  return {};
}

}  // namespace shoehorn
