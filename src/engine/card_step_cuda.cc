#include <algorithm>

#include "base/cuda_check.h"
#include "engine/card_step.h"

namespace shoehorn {

CardStep::Arrays CardStep::place(Arena& arena, int64_t max_rows, int64_t max_pages) {
  return {.spans = arena.take_array<AttentionSpan>(max_rows),
          .positions = arena.take_array<int32_t>(max_rows),
          .row_spans = arena.take_array<int32_t>(max_rows),
          .tokens = arena.take_array<int32_t>(kFewRows),
          .choices = arena.take_array<Choice>(kFewRows),
          .pages = arena.take_array<int32_t>(max_pages)};
}

uint64_t CardStep::size_bytes(int64_t max_rows, int64_t max_pages) {
  Arena arena;
  place(arena, max_rows, max_pages);
  return arena.peak_bytes();
}

Result<std::unique_ptr<CardStep>> CardStep::create(std::span<std::byte> card, int64_t max_rows,
                                                   int64_t max_pages) {
  auto step = std::make_unique<CardStep>();
  step->max_rows_ = max_rows;
  step->max_pages_ = max_pages;
  step->card_bytes_ = card;
  step->host_bytes_ = TRY(HostBuffer::create(size_bytes(max_rows, max_pages), "a step's rows"));
  step->pin_ = TRY(Pin::create(step->host_bytes_.bytes()));
  Arena on_card(card), on_host(step->host_bytes_.bytes());
  step->card_ = place(on_card, max_rows, max_pages);
  step->host_ = place(on_host, max_rows, max_pages);
  return step;
}

void CardStep::upload(const Batch& batch, int64_t page_tokens, cudaStream_t stream) {
  put(batch, page_tokens, false);
  send(stream);
}

void CardStep::upload_decode(const Batch& batch, std::span<const DecodeRow> rows,
                             int64_t page_tokens, cudaStream_t stream) {
  CHECK(batch.rows() <= kFewRows && batch.parts.size() == rows.size(), "{} rows, {} choices",
        batch.rows(), rows.size());
  put(batch, page_tokens, true);
  std::copy(batch.tokens.begin(), batch.tokens.end(), host_.tokens);
  for (size_t i = 0; i < rows.size(); ++i) host_.choices[i] = rows[i].choice;
  send(stream);
}

void CardStep::put(const Batch& batch, int64_t page_tokens, bool all_pages) {
  CHECK(batch.rows() <= max_rows_, "{} rows, room for {}", batch.rows(), max_rows_);
  std::copy(batch.positions.begin(), batch.positions.end(), host_.positions);
  spans_ = {.spans = card_.spans,
            .count = static_cast<int64_t>(batch.spans.size()),
            .row_spans = card_.row_spans,
            .rows = batch.rows()};
  int64_t pages = 0;
  for (size_t i = 0; i < batch.spans.size(); ++i) {
    const AttentionSpan& span = batch.spans[i];
    const int64_t context = span.first_position + span.row_count;
    const int64_t count = all_pages ? static_cast<int64_t>(batch.parts[i].sequence->pages.size())
                                    : (context + page_tokens - 1) / page_tokens;
    CHECK(pages + count <= max_pages_, "page tables of {} pages, room for {}", pages + count,
          max_pages_);
    std::copy_n(span.pages, count, host_.pages + pages);
    std::fill_n(host_.row_spans + span.first_row, span.row_count, static_cast<int32_t>(i));
    host_.spans[i] = span;
    host_.spans[i].pages = card_.pages + pages;
    pages += count;
    spans_.max_row_count = std::max(spans_.max_row_count, span.row_count);
    spans_.max_context = std::max(spans_.max_context, context);
  }
}

// One copy: the arrays lie one after the other, and all together are small.
void CardStep::send(cudaStream_t stream) {
  CUDA_CHECK(cudaMemcpyAsync(card_bytes_.data(), host_bytes_.data(), host_bytes_.size_bytes(),
                             cudaMemcpyHostToDevice, stream));
}

}  // namespace shoehorn
