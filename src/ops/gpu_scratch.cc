// What CUDA bodies need of scratch: plain arithmetic, built without CUDA too, since plans are made
// where there is no card.
#include <algorithm>

#include "ops/cuda/attention_kernels.h"
#include "ops/cuda/linear_parts.h"
#include "tensor/format.h"

namespace shoehorn {
namespace {

// Dequantized values worth having at once: slices of 4096 rows at 8192 columns fill a card.
constexpr int64_t kValueBytes = int64_t{64} << 20;

int64_t aligned(int64_t bytes) {
  return (bytes + 255) / 256 * 256;
}

}  // namespace

PreparedLayout::PreparedLayout(int64_t m, int64_t columns) {
  if (m <= kRoundedRows) {
    const int64_t blocks = (columns + kBlockColumns - 1) / kBlockColumns + kBlocksAhead;
    const int64_t sums = aligned(blocks * padded_few_rows(m) * 4);
    scales = aligned(blocks * m * kBlockColumns);
    block_sums = scales + sums;
    half_sums = block_sums + sums;
    bf16 = half_sums + 2 * sums;
  }
  bytes = bf16 + (m > kFewRows ? aligned(m * columns * 2) : 0);
}

int64_t gpu_activation_scratch_bytes(int64_t rows, int64_t columns) {
  const int64_t rounded = PreparedLayout(std::min(rows, kRoundedRows), columns).bytes;
  return std::max(rounded, PreparedLayout(rows, columns).bytes);
}

int64_t gpu_linear_scratch_bytes(int64_t rows, int64_t columns) {
  const int64_t one_tile = kTileRows * columns * 4;
  return kBlasWorkspaceBytes + std::max(one_tile, std::min(rows * columns * 4, kValueBytes));
}

PiecesLayout::PiecesLayout(int64_t rows, int64_t heads, int64_t head_dim, int64_t max_context) {
  using namespace attention_device;
  const int64_t pieces = rows * pieces_of(max_context, kMaxPiecesShift);
  const int64_t slots = std::min(pieces, kPiecesPerLaunch) * heads;
  weighted = aligned(slots * 2 * 4);
  bytes = weighted + slots * head_dim * 4;
}

int64_t gpu_attention_scratch_bytes(int64_t rows, int64_t heads, int64_t head_dim,
                                    int64_t max_context) {
  return PiecesLayout(rows, heads, head_dim, max_context).bytes;
}

}  // namespace shoehorn
