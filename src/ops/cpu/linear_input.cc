// The input of linear layers, made ready: rounded rows in panels.
#include <algorithm>

#include "base/check.h"
#include "ops/cpu/linear_kernels.h"
#include "ops/cpu/share.h"
#include "ops/linear.h"

namespace shoehorn {
namespace {

constexpr int64_t kBytesPerBlock = kBlockColumns + 4 + 4 + 4 + 8;  // of RoundedRows

// `blocks` blocks, and those of one panel more, which kernels may read (as zeros).
RoundedRows carve(std::byte* scratch, int64_t blocks) {
  blocks += kPanelRows;
  RoundedRows rows;
  rows.codes = reinterpret_cast<int8_t*>(scratch);
  scratch += blocks * kBlockColumns;
  rows.scales = reinterpret_cast<float*>(scratch);
  scratch += blocks * 4;
  rows.products = reinterpret_cast<float*>(scratch);
  scratch += blocks * 4;
  rows.half_products = reinterpret_cast<float*>(scratch);
  scratch += blocks * 8;
  rows.half_sums = reinterpret_cast<int16_t*>(scratch);
  const RoundedRows end = rows.at(blocks - kPanelRows);
  std::fill_n(end.codes, kPanelRows * kBlockColumns, int8_t{0});
  std::fill_n(end.scales, kPanelRows, 0.0f);
  std::fill_n(end.products, kPanelRows, 0.0f);
  std::fill_n(end.half_products, kPanelRows * 2, 0.0f);
  std::fill_n(end.half_sums, kPanelRows * 2, int16_t{0});
  return rows;
}

}  // namespace

int64_t activation_scratch_bytes(int64_t rows, int64_t columns) {
  return (rows * blocks_of(columns) + kPanelRows) * kBytesPerBlock;
}

ActivationRows prepare_activations(ThreadPool& pool, const Tensor& x, std::span<std::byte> scratch,
                                   Precision precision) {
  ActivationRows ready{.values = x};
  if (precision == Precision::full) return ready;
  const int64_t m = x.rows(), blocks = blocks_of(x.columns());
  CHECK(static_cast<int64_t>(scratch.size()) >= activation_scratch_bytes(m, x.columns()),
        "scratch of {} bytes", scratch.size());
  const RoundedRows rows = carve(scratch.data(), m * blocks);
  const LinearKernels& kernels = linear_kernels_for(linear_isa());
  // Threads take ranges of blocks of all rows, since panels interleave rows.
  share_work(pool, blocks, m * kBlockColumns, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < m; ++i) {
      const int64_t panel = i / kPanelRows * kPanelRows;
      kernels.round_row({.x = x.row<float>(i),
                         .columns = x.columns(),
                         .first = begin,
                         .end = end,
                         .stride = std::min(kPanelRows, m - panel),
                         .out = rows.at(panel * blocks + i - panel)});
    }
  });
  ready.rounded_rows = rows;
  return ready;
}

}  // namespace shoehorn
