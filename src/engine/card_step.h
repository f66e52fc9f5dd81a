// A batch's rows on the card: positions, page tables, spans. Uploaded once a step for all layers.
#pragma once

#include <cuda_runtime_api.h>

#include "engine/forward.h"
#include "engine/scheduler.h"
#include "memory/gpu_buffer.h"
#include "ops/attention.h"
#include "ops/choose.h"

namespace shoehorn {

class CardStep {
 public:
  // Room for steps of max_rows rows and page tables of `max_pages` pages in all.
  static uint64_t size_bytes(int64_t max_rows, int64_t max_pages);
  // card: size_bytes(...) bytes of VRAM.
  static Result<std::unique_ptr<CardStep>> create(std::span<std::byte> card, int64_t max_rows,
                                                  int64_t max_pages);

  // Queues the upload. REQUIRES: the upload before is done (the host side is used again).
  void upload(const Batch& batch, int64_t page_tokens, cudaStream_t stream);
  // The same for a step that decodes: one row a sequence, at most kFewRows. Tokens and choices go
  // along, and all pages that a sequence has, so that the steps after this one find theirs.
  void upload_decode(const Batch& batch, std::span<const DecodeRow> rows, int64_t page_tokens,
                     cudaStream_t stream);
  // The step after one that decodes: `context` as GpuSpans::max_context.
  void reach(int64_t context) { spans_.max_context = context; }

  const GpuSpans& spans() const { return spans_; }
  const int32_t* positions() const { return card_.positions; }

  // Of a step that decodes, on the card; a step leaves there what the next one needs.
  int32_t* next_positions() const { return card_.positions; }
  AttentionSpan* next_spans() const { return card_.spans; }
  int32_t* tokens() const { return card_.tokens; }
  Choice* choices() const { return card_.choices; }

 private:
  struct Arrays {
    AttentionSpan* spans;
    int32_t* positions;
    int32_t* row_spans;
    int32_t* tokens;  // [kFewRows]
    Choice* choices;  // [kFewRows]
    int32_t* pages;
  };
  void put(const Batch& batch, int64_t page_tokens, bool all_pages);
  void send(cudaStream_t stream);
  static Arrays place(Arena& arena, int64_t max_rows, int64_t max_pages);

  int64_t max_rows_ = 0, max_pages_ = 0;
  std::span<std::byte> card_bytes_;
  HostBuffer host_bytes_;
  Pin pin_;
  Arrays card_ = {}, host_ = {};
  GpuSpans spans_;
};

}  // namespace shoehorn
