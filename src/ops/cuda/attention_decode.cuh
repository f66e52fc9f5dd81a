// What a decoding step does around attention, done inside its kernels: the rows' queries and keys
// are turned, keys and values go into the cache, and what comes out is rounded for the next linear
// layer. Each would else be a kernel of its own, three of a dozen in a layer. Every number is the
// one that rope.cu and prepare.cu give.
#pragma once

#include "ops/cuda/attention_pieces.cuh"
#include "ops/cuda/prepared_rows.cuh"
#include "ops/cuda/rope_turn.cuh"

namespace shoehorn::attention_device {

// A step whose spans are one row each.
struct DecodeStep {
  const float* k = nullptr;  // [rows, KV, d], not yet turned; q neither
  const float* v = nullptr;
  int64_t k_row_stride = 0, k_head_stride = 0, v_row_stride = 0, v_head_stride = 0;
  RopeAngles angles;
  PreparedTarget target;  // [rows, H * d]
};

// The row's key and value of one head into the cache, by the whole block.
template <typename T, int kDim>
__device__ void append(const FewRows& work, const DecodeStep& decode, const PieceOfRows& piece,
                       int kv_head) {
  const int row = piece.first_row, i = static_cast<int>(threadIdx.x);
  const KvLayer& layer = work.step.layer;
  std::byte* token = layer.data + token_offset(layer, piece.pages, piece.position, sizeof(T));
  const auto slot = [&](int plane) {
    return reinterpret_cast<T*>(token + plane_offset(layer, plane, sizeof(T)));
  };
  static_assert(kDim <= kThreads);
  if (i >= kDim) return;
  const float* k = decode.k + row * decode.k_row_stride + kv_head * decode.k_head_stride;
  const float* v = decode.v + row * decode.v_row_stride + kv_head * decode.v_head_stride;
  store_rounded(turned(decode.angles, row, k, i), slot(kv_head) + i);
  store_rounded(v[i], slot(static_cast<int>(layer.kv_heads) + kv_head) + i);
}

// One of 32 neighbouring columns of a row, by each lane of a warp.
__device__ inline void write_rounded(const PreparedTarget& target, int row, int column, float x) {
  const BlockRounding rounding(warp_maximum(fabsf(x)));
  const int code = rounding.code(x);
  int sum = code;
  for (int step = 1; step < 16; step *= 2) sum += __shfl_xor_sync(kWholeWarp, sum, step);
  const int other_half = __shfl_xor_sync(kWholeWarp, sum, 16);
  codes_at(target, row, column)[column % 4] = static_cast<int8_t>(code);
  if (column % 32 == 0) {
    write_block(target, row, column / 32, rounding.scale, sum, other_half);
  }
}

// Two of 32 neighbouring columns of a row, by each lane of half a warp.
__device__ inline void write_rounded(const PreparedTarget& target, int row, int column, float2 x) {
  const unsigned half = threadIdx.x % 32 < 16 ? 0x0000FFFFu : 0xFFFF0000u;
  float largest = fmaxf(fabsf(x.x), fabsf(x.y));
  for (int step = 8; step > 0; step /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(half, largest, step));
  }
  const BlockRounding rounding(largest);
  const int first = rounding.code(x.x), second = rounding.code(x.y);
  int sum = first + second;
  for (int step = 1; step < 8; step *= 2) sum += __shfl_xor_sync(half, sum, step);
  const int other_half = __shfl_xor_sync(half, sum, 8);
  *reinterpret_cast<uint16_t*>(codes_at(target, row, column) + column % 4) =
      static_cast<uint16_t>((first & 255) | (second & 255) << 8);
  if (column % 32 == 0) {
    write_block(target, row, column / 32, rounding.scale, sum, other_half);
  }
}

}  // namespace shoehorn::attention_device
