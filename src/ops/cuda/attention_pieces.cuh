// Few rows: how contexts are cut into pieces, and who computes which.
//
// A row's context is cut at fixed positions into at most 16 pieces (32 where there are few KV heads
// to keep a card busy) of kPieceTokens * 2^k tokens; k depends on the row's position alone. Longer
// pieces spread the costs of beginning and merging one. A block computes one piece for a tile of
// neighbouring rows of a span, and tiles begin at multiples of their size (a power of two), so that
// the rows of a tile agree on k. So a row's bits depend on its own sequence and position alone.
#pragma once

#include "ops/cuda/attention_device.cuh"
#include "ops/cuda/attention_kernels.h"

namespace shoehorn::attention_device {

inline constexpr int kThreads = 128;
inline constexpr int kWarps = kThreads / 32;
inline constexpr int kMaxHeadDim = 256;

// log2 of the most pieces that a row has with so many KV heads.
inline int pieces_shift_of(int64_t kv_heads) {
  return kv_heads < 8 ? kMaxPiecesShift : kMaxPiecesShift - 1;
}

// One launch.
struct FewRows {
  AttentionStep step;
  int first_row = 0, row_end = 0;
  int pieces_shift = kMaxPiecesShift;
  int pieces = 1;                     // slots of a row and head
  int rows_per_tile = 1;              // a power of two, at most 8
  int heads_per_tile_shift = 0;       // log2
  int head_tiles = 1;                 // of a KV head
  float2* maxima_and_sums = nullptr;  // [rows, heads, pieces]
  float* weighted = nullptr;          // [rows, heads, pieces, head_dim]
};

// log2 of the tokens of the pieces of a row at `position`.
__device__ inline int piece_shift(const FewRows& work, int position) {
  return max(kPieceShift, 32 - __clz(position) - work.pieces_shift);
}

__device__ inline int64_t slot_of(const FewRows& work, int row, int head, int piece) {
  return (int64_t{row - work.first_row} * work.step.heads + head) * work.pieces + piece;
}

// What block (x, ., z) computes: piece z for the tile of rows that begins at row x of the launch.
// Row r of the tile is token position + r.
struct PieceOfRows {
  int first_row = 0;
  int row_count = 0;  // 0: nothing; an earlier row's block has the row, or the piece is no row's
  int position = 0;
  int first_token = 0, token_end = 0;
  const int32_t* pages = nullptr;
};

__device__ inline PieceOfRows find_piece(const FewRows& work) {
  PieceOfRows piece;
  piece.first_row = work.first_row + static_cast<int>(blockIdx.x);
  const AttentionSpan& span = work.step.spans[work.step.row_spans[piece.first_row]];
  const int in_span = piece.first_row - static_cast<int>(span.first_row);
  piece.position = static_cast<int>(span.first_position) + in_span;
  piece.pages = span.pages;
  const int before = piece.position & (work.rows_per_tile - 1);
  if (before > 0 && in_span > 0 && piece.first_row > work.first_row) return piece;
  const int left = min(static_cast<int>(span.row_count) - in_span, work.row_end - piece.first_row);
  const int rows = min(work.rows_per_tile - before, left);
  const int shift = piece_shift(work, piece.position);
  piece.first_token = static_cast<int>(blockIdx.z) << shift;
  piece.token_end = min(piece.first_token + (1 << shift), piece.position + rows);
  if (piece.first_token < piece.token_end) piece.row_count = rows;
  return piece;
}

// Where a row's result over piece z goes: to the output, divided by its sum, if the row has no
// other piece; else to the scratch.
struct Destination {
  float* values;
  float factor;
};
__device__ inline Destination destination(const FewRows& work, int row, int head, bool only_piece,
                                          float sum) {
  if (only_piece) {
    return {work.step.out + row * work.step.out_row_stride + head * work.step.out_head_stride,
            1.0f / sum};
  }
  const int64_t slot = slot_of(work, row, head, static_cast<int>(blockIdx.z));
  return {work.weighted + slot * work.step.layer.head_dim, 1.0f};
}

// Heads of any size up to kMaxHeadDim, caches of any type.
void launch_any_shape(Gpu& gpu, const FewRows& work);

}  // namespace shoehorn::attention_device
