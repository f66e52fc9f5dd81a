// Weights as bf16 or float in scratch, for matrix products of many rows.
//
// Bound by HBM: 4.5 bits a value are read and 16 or 32 written. A thread makes eight neighbouring
// values of a row; the four threads of a row's 32 columns write 64 (or 128) bytes in one piece, and
// eight rows of a warp read whole sectors of the tile. Formats are told apart at run time: all of
// it is a few uniform branches.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "ops/cuda/launch.cuh"
#include "ops/linear.h"

namespace shoehorn {

// Parts next to each other in the whole matrix.
struct DequantizeArguments {
  const std::byte* parts[kMaxParts];
  Format format;
  int32_t first_row;  // of every part; a multiple of 16
  int32_t rows;       // made
  int32_t columns;
  int64_t tile_bytes;
  int32_t section_bytes;
  int32_t section_shift;  // log2 of the blocks of 32 columns in a section
  int64_t part_stride;    // output elements between parts
  int64_t row_stride;     // and between rows
};

namespace dequantize_device {

__device__ inline void store_eight(const float (&v)[8], float* out) {
  reinterpret_cast<float4*>(out)[0] = {v[0], v[1], v[2], v[3]};
  reinterpret_cast<float4*>(out)[1] = {v[4], v[5], v[6], v[7]};
}
__device__ inline void store_eight(const float (&v)[8], __nv_bfloat16* out) {
  __nv_bfloat162 pairs[4];
  for (int i = 0; i < 4; ++i) pairs[i] = __floats2bfloat162_rn(v[2 * i], v[2 * i + 1]);
  *reinterpret_cast<uint4*>(out) = *reinterpret_cast<const uint4*>(pairs);
}

__device__ inline float half_at(const std::byte* halves, int index) {
  return __half2float(reinterpret_cast<const __half*>(halves)[index]);
}

// Four codes of a plane of `bits` bits (1, 2, 4, 8), one a byte.
__device__ inline uint32_t plane_quad(const std::byte* plane, int bits, int row, int quad) {
  const int vector = quad & (bits - 1);  // the plane has as many vectors as bits
  const int which = quad >> (31 - __clz(bits));
  const uint32_t word = reinterpret_cast<const uint32_t*>(plane)[vector * 16 + row];
  return (word >> (which * bits)) & (((1u << bits) - 1) * 0x01010101u);
}

__device__ inline uint32_t code_quad(const std::byte* codes, int bits, int row, int quad) {
  const int low = bits == 8 ? 8 : bits >= 4 ? 4 : 2;
  uint32_t quads = plane_quad(codes, low, row, quad);
  if (bits > low) quads |= plane_quad(codes + low * 64, bits - low, row, quad) << low;
  return quads;
}

// Where codes and scales of a block lie, and scale and minimum of one row of one group.
struct BlockView {
  const std::byte* header;
  const std::byte* scales;
  const std::byte* codes;

  __device__ float2 scale_and_minimum(const Format& format, int row, int group) const {
    const bool has_minimum = format.meaning == CodeMeaning::with_minimum;
    float scale = half_at(header, row);
    float minimum = has_minimum ? half_at(header, 16 + row) : 0.0f;
    if (format.scale == ScaleEncoding::two_level_packed4) {
      const int packed = static_cast<int>(scales[group * 16 + row]);
      scale *= static_cast<float>(packed & 15);
      minimum *= static_cast<float>(packed >> 4);
    } else if (format.scale == ScaleEncoding::two_level) {
      const auto* bytes =
          reinterpret_cast<const int8_t*>(scales) + group * (has_minimum ? 32 : 16) + row;
      scale *= static_cast<float>(bytes[0]);
      if (has_minimum) minimum *= static_cast<float>(bytes[16]);
    }
    return {scale, minimum};
  }
};

__device__ inline BlockView view_block(const DequantizeArguments& a, const std::byte* tile,
                                       int block) {
  const bool has_minimum = a.format.meaning == CodeMeaning::with_minimum;
  const int header_bytes = has_minimum ? 64 : 32;
  int scale_bytes = 0;
  if (a.format.scale != ScaleEncoding::f16) {
    const bool two = has_minimum && a.format.scale == ScaleEncoding::two_level;
    scale_bytes = 32 / a.format.group * (two ? 32 : 16);
  }
  const int section = block >> a.section_shift;
  BlockView view;
  view.header = tile + int64_t{section} * a.section_bytes;
  view.scales = view.header + header_bytes +
                (block - (section << a.section_shift)) * (scale_bytes + a.format.bits * 64);
  view.codes = view.scales + scale_bytes;
  return view;
}

__constant__ const float kIq4nlValues[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                             1,    13,   25,  38,  53,  69,  89,  113};

}  // namespace dequantize_device

constexpr int kDequantizeBlocks = 4;  // of 32 columns, of a thread block

// Grid: x covers the columns, y the tiles, z the parts.
template <typename T>
__global__ void __launch_bounds__(kDequantizeBlocks * 64)
    dequantize_kernel(const __grid_constant__ DequantizeArguments a, T* out) {
  wait_for_previous_kernel();
  const int octet = static_cast<int>(threadIdx.x & 3);
  const int row = static_cast<int>(threadIdx.x >> 2 & 15);
  const int block = static_cast<int>(blockIdx.x * kDequantizeBlocks + (threadIdx.x >> 6));
  const int tile = static_cast<int>(blockIdx.y);
  if (block * 32 >= a.columns) return;
  if (tile * 16 + row >= a.rows) return;
  const std::byte* at = a.parts[blockIdx.z] + (a.first_row / 16 + tile) * a.tile_bytes;
  const dequantize_device::BlockView view = dequantize_device::view_block(a, at, block);
  const float2 scale = view.scale_and_minimum(a.format, row, a.format.group == 16 ? octet / 2 : 0);
  const bool symmetric = a.format.meaning == CodeMeaning::symmetric;
  const float middle = symmetric ? static_cast<float>(1 << (a.format.bits - 1)) : 0.0f;
  float values[8];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const uint32_t quad =
        dequantize_device::code_quad(view.codes, a.format.bits, row, octet * 2 + half);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const uint32_t code = quad >> (8 * k) & 255;
      const float number = a.format.meaning == CodeMeaning::iq4nl
                               ? dequantize_device::kIq4nlValues[code]
                               : static_cast<float>(code) - middle;
      values[half * 4 + k] = __fmaf_rn(scale.x, number, scale.y);
    }
  }
  dequantize_device::store_eight(values, out + blockIdx.z * a.part_stride +
                                             int64_t{tile * 16 + row} * a.row_stride + block * 32 +
                                             octet * 8);
}

// Plain values of another type: From [rows, columns] of every part. Grid: x covers rows * columns.
template <typename From, typename To>
__global__ void convert_kernel(const __grid_constant__ DequantizeArguments a, To* out) {
  wait_for_previous_kernel();
  const int64_t item = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (item >= int64_t{a.rows} * a.columns) return;
  const int64_t row = item / a.columns, column = item - row * a.columns;
  const auto* from = reinterpret_cast<const From*>(a.parts[blockIdx.y]);
  const float value = static_cast<float>(from[int64_t{a.first_row} * a.columns + item]);
  out[blockIdx.y * a.part_stride + row * a.row_stride + column] = static_cast<To>(value);
}

}  // namespace shoehorn
