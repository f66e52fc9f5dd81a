// Embedding on a card. A thread has a column of a token's row: few bytes, read once a step, so
// plain code for every format instead of fast code for each. The values are those of dequantize_row
// (tensor/weight.cc), bit for bit.
#include "ops/embedding.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <array>

#include "ops/cuda/launch.cuh"
#include "tensor/format.h"

namespace shoehorn {
namespace {

constexpr int kThreads = 128;

// Layout of a grouped table (tensor/format.h), in bytes and columns.
struct Layout {
  int bits, low_bits, high_bits;  // of a code, and of its two planes
  int group;
  int header_columns, header_bytes;
  int section_bytes;  // from one header to the next
  int block_scale_bytes, block_bytes;
  int64_t tile_bytes;
  ScaleEncoding scale;
  CodeMeaning meaning;
  int8_t code_book[16];
};

struct Table {
  const std::byte* data;
  int64_t columns;
  Layout layout;  // grouped tables only
};

Layout layout_of(const Format& format, int64_t columns) {
  Layout layout = {};
  layout.bits = format.bits;
  layout.low_bits = format.bits == 8 ? 8 : format.bits >= 4 ? 4 : 2;
  layout.high_bits = format.bits - layout.low_bits;
  layout.group = format.group;
  layout.header_columns = static_cast<int>(header_columns(format));
  layout.header_bytes = static_cast<int>(header_bytes(format));
  layout.block_scale_bytes = static_cast<int>(block_scale_bytes(format));
  layout.block_bytes = layout.block_scale_bytes + static_cast<int>(block_code_bytes(format));
  layout.section_bytes = layout.header_bytes + layout.header_columns /
                                                   static_cast<int>(kBlockColumns) *
                                                   layout.block_bytes;
  layout.tile_bytes = tile_bytes(format, columns);
  layout.scale = format.scale;
  layout.meaning = format.meaning;
  for (size_t i = 0; i < kIq4nl.size(); ++i) layout.code_book[i] = kIq4nl[i];
  return layout;
}

// The bits of a code that lie in one plane. column: in the block of 32.
__device__ int plane_bits(const std::byte* plane, int bits, int row, int column) {
  const int quad = column / 4;
  const int byte = static_cast<int>(plane[quad % bits * 64 + row * 4 + column % 4]);
  return (byte >> (bits * (quad / bits))) & ((1 << bits) - 1);
}

__device__ float half_at(const std::byte* halves, int index) {
  return __half2float(reinterpret_cast<const __half*>(halves)[index]);
}

__device__ float grouped_value(const Table& table, int64_t row, int64_t column) {
  const Layout& layout = table.layout;
  constexpr int kRows = kTileRows, kBlock = kBlockColumns;
  const auto r = static_cast<int>(row % kRows), c = static_cast<int>(column % kBlock);
  const std::byte* header = table.data + row / kRows * layout.tile_bytes +
                            column / layout.header_columns * layout.section_bytes;
  const std::byte* block =
      header + layout.header_bytes + column % layout.header_columns / kBlock * layout.block_bytes;
  const std::byte* codes = block + layout.block_scale_bytes;
  int code = plane_bits(codes, layout.low_bits, r, c);
  if (layout.high_bits > 0) {
    code |= plane_bits(codes + layout.low_bits * 64, layout.high_bits, r, c) << layout.low_bits;
  }
  const bool has_minimum = layout.meaning == CodeMeaning::with_minimum;
  float scale = half_at(header, r);
  float minimum = has_minimum ? half_at(header, kRows + r) : 0.0f;
  if (layout.scale == ScaleEncoding::two_level_packed4) {
    const int packed = static_cast<int>(block[c / layout.group * kRows + r]);
    scale *= static_cast<float>(packed & 15);
    minimum *= static_cast<float>(packed >> 4);
  } else if (layout.scale == ScaleEncoding::two_level) {
    const std::byte* scales = block + c / layout.group * (has_minimum ? 2 * kRows : kRows);
    scale *= static_cast<float>(static_cast<int8_t>(scales[r]));
    if (has_minimum) minimum *= static_cast<float>(static_cast<int8_t>(scales[kRows + r]));
  }
  if (layout.meaning == CodeMeaning::symmetric) {
    return scale * static_cast<float>(code - (1 << (layout.bits - 1)));
  }
  if (layout.meaning == CodeMeaning::iq4nl) {
    return scale * static_cast<float>(layout.code_book[code]);
  }
  return __fadd_rn(__fmul_rn(scale, static_cast<float>(code)), minimum);
}

template <Storage kStorage>
__device__ float value_at(const Table& table, int64_t row, int64_t column) {
  const int64_t index = row * table.columns + column;
  switch (kStorage) {
    case Storage::f32:
      return reinterpret_cast<const float*>(table.data)[index];
    case Storage::f16:
      return __half2float(reinterpret_cast<const __half*>(table.data)[index]);
    case Storage::bf16:
      return __bfloat162float(reinterpret_cast<const __nv_bfloat16*>(table.data)[index]);
    case Storage::grouped:
      break;
  }
  return grouped_value(table, row, column);
}

// Grid: (token, 128 columns).
template <Storage kStorage>
__global__ void embedding_kernel(const Table table, const int32_t* tokens, float* out,
                                 int64_t out_stride) {
  wait_for_previous_kernel();
  let_next_kernel_start();
  const auto i = static_cast<int64_t>(blockIdx.x);
  const int64_t column = int64_t{blockIdx.y} * kThreads + threadIdx.x;
  if (column >= table.columns) return;
  out[i * out_stride + column] = value_at<kStorage>(table, tokens[i], column);
}

}  // namespace

void embedding(Gpu& gpu, const Weight& weight, const int32_t* tokens, const Tensor& out) {
  CHECK(out.columns() == weight.columns, "out [{}, {}] of a table of {} columns", out.rows(),
        out.columns(), weight.columns);
  if (out.rows() == 0) return;
  Table table = {.data = weight.data, .columns = weight.columns, .layout = {}};
  const dim3 grid(static_cast<unsigned>(out.rows()),
                  static_cast<unsigned>((weight.columns + kThreads - 1) / kThreads));
  const auto launch = [&](auto kernel) {
    launch_overlapped(gpu, kernel, grid, dim3(kThreads), 0, table, tokens, out.row<float>(0),
                      out.strides[0]);
  };
  switch (weight.format.storage) {
    case Storage::f32:
      launch(embedding_kernel<Storage::f32>);
      break;
    case Storage::f16:
      launch(embedding_kernel<Storage::f16>);
      break;
    case Storage::bf16:
      launch(embedding_kernel<Storage::bf16>);
      break;
    case Storage::grouped:
      table.layout = layout_of(weight.format, weight.columns);
      launch(embedding_kernel<Storage::grouped>);
      break;
  }
}

}  // namespace shoehorn
