// The two ways that attention runs on a card, and what both are told.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ops/attention.h"

namespace shoehorn {

// One call of attention(), as kernels see it: strides in elements.
struct AttentionStep {
  KvLayer layer;
  const float* q = nullptr;
  int64_t q_row_stride = 0, q_head_stride = 0;
  float* out = nullptr;
  int64_t out_row_stride = 0, out_head_stride = 0;
  const AttentionSpan* spans = nullptr;
  const int32_t* row_spans = nullptr;
  int rows = 0;
  int heads = 0;
  int group = 1;         // query heads a KV head
  float log2_scale = 1;  // scale * log2(e), on q . k: soft-max in powers of two
};

namespace attention_device {
struct DecodeStep;  // attention_decode.cuh
}

// Few rows: contexts split over the card, partial results in scratch, then combined. decode: what
// to do beside; null: nothing.
void attend_few_rows(Gpu& gpu, const AttentionStep& step, const GpuSpans& spans,
                     std::span<std::byte> scratch,
                     const attention_device::DecodeStep* decode = nullptr);

namespace attention_device {

// The pieces that a row's context is cut into (attention_pieces.cuh): tokens of the shortest, log2
// of the most that a row has, and rows times pieces of a launch, which bounds the scratch.
inline constexpr int kPieceShift = 7;
inline constexpr int kPieceTokens = 1 << kPieceShift;
inline constexpr int kMaxPiecesShift = 5;
inline constexpr int64_t kPiecesPerLaunch = 1024;
static_assert(kPiecesPerLaunch >= 1 << kMaxPiecesShift);

inline int64_t pieces_of(int64_t max_context, int pieces_shift) {
  return std::clamp<int64_t>((max_context + kPieceTokens - 1) / kPieceTokens, 1,
                             int64_t{1} << pieces_shift);
}

}  // namespace attention_device

// Scratch of attend_few_rows, cut up: two floats of each piece's soft-max at its start, weighted
// values from byte `weighted` on.
struct PiecesLayout {
  PiecesLayout(int64_t rows, int64_t heads, int64_t head_dim, int64_t max_context);
  int64_t weighted, bytes;
};

// Many rows a span: tiles of rows walk the context on tensor cores. REQUIRES: has_tensor_path.
void attend_many_rows(Gpu& gpu, const AttentionStep& step, const GpuSpans& spans);

// Caches of 16-bit floats with heads of 64 or 128 and pages of a multiple of 16 tokens: what the
// supported models and the engine have.
inline bool has_tensor_path(const KvLayer& layer) {
  return layer.dtype != DType::f32 && (layer.head_dim == 64 || layer.head_dim == 128) &&
         layer.page_tokens % 16 == 0;
}

}  // namespace shoehorn
