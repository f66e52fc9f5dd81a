// What the attention kernels are made of: where a token lies in the cache, copies into shared
// memory, and the warp's matrix instructions (PTX ISA, "Matrix multiply-accumulate operation using
// mma instruction", m16n8k16; sm_80 and later).
//
// Fragments of a warp's m16n8k16 product D[16, 8] += A[16, 16] B[16, 8], with g = lane / 4 and
// t = lane % 4; a register holds two 16-bit numbers:
//   A  a0: row g, columns 2t 2t+1;  a1: row g + 8;  a2: row g, columns 2t+8 2t+9;  a3: row g + 8
//   B  b0: rows 2t 2t+1, column g;  b1: rows 2t+8 2t+9
//   D  d0 d1: row g, columns 2t 2t+1;  d2 d3: row g + 8
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstddef>
#include <cstdint>

#include "ops/attention.h"

namespace shoehorn::attention_device {

inline constexpr unsigned kWholeWarp = 0xFFFFFFFFu;
inline constexpr float kMinusInfinity = -__builtin_inff();

// Probabilities are kept times 2^14 until they are divided by their sum, so that those of unlikely
// tokens are no denormals of f16.
inline constexpr float kProbabilityUnit = 16384.0f;
inline constexpr float kLog2ProbabilityUnit = 14.0f;

// Bytes from the layer's start to the token's key of head 0.
__device__ inline int64_t token_offset(const KvLayer& layer, const int32_t* pages, int token,
                                       int element_bytes) {
  const auto page_tokens = static_cast<unsigned>(layer.page_tokens);
  const unsigned page = static_cast<unsigned>(token) / page_tokens;
  const unsigned slot = static_cast<unsigned>(token) - page * page_tokens;
  return pages[page] * layer.page_stride_bytes + slot * layer.head_dim * element_bytes;
}

// Tokens that the tensor kernels copy at a time: they lie in one page, as a page has a multiple of
// them.
inline constexpr int kCopyTokens = 16;

// From there on to head `plane` of the keys, kv_heads + head of the values.
__device__ inline int64_t plane_offset(const KvLayer& layer, int plane, int element_bytes) {
  return plane * layer.page_tokens * layer.head_dim * element_bytes;
}

// 16 bytes from global to shared memory, or zeros where there is nothing; asynchronous.
__device__ inline void copy_unit(unsigned to, const std::byte* from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to), "l"(from),
               "r"(there ? 16 : 0)
               : "memory");
}
__device__ inline void end_copy_group() {
  asm volatile("cp.async.commit_group;\n" ::: "memory");
}
// Until at most `kPending` of this thread's newest groups are under way.
template <int kPending>
__device__ inline void wait_copy_groups() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
}

// Tiles in shared memory are rows of a token's units of 16 bytes (8 numbers), each row aligned to
// its size (a power of two of at least 8 units). The units of a row are permuted by its token:
// eight rows' units of one column then lie in different banks, as ldmatrix reads them. From the
// address of a row's unit u (u = 0 or 1) to that of unit 2 i + u: address ^ (32 i).
template <int kUnits>
__device__ inline unsigned unit_address(const uint4* tile, int token, int unit) {
  return static_cast<unsigned>(
      __cvta_generic_to_shared(tile + token * kUnits + (unit ^ (token & 7))));
}

// Hides that an address is the same in every round of a loop: the compiler would keep all that
// follows from it in registers, and has none to spare.
__device__ inline unsigned renewed(unsigned address) {
  asm volatile("" : "+r"(address));
  return address;
}

// Tokens that follow each other in the cache into the rows of a tile; beyond `there` tokens, zeros.
// One of kThreads threads that copy them together.
template <int kUnits, int kThreads, int kTokens>
__device__ inline void load_rows(uint4* tile, const std::byte* from, int thread, int there) {
  constexpr int kStep = kThreads / kUnits;  // tokens at a time, a power of two
  const int first = thread / kUnits;
  const unsigned start = renewed(unit_address<kUnits>(tile, first, thread % kUnits));
  const std::byte* source = from + thread * 16;
#pragma unroll
  for (int token = 0; token < kTokens; token += kStep) {
    copy_unit((start ^ (token & 7) * 16) + token * kUnits * 16, source + token * kUnits * 16,
              first + token < there);
  }
}

// Four 8x8 matrices; the address of lane i is of row i % 8 of matrix i / 8.
__device__ inline void load_matrices(uint32_t (&to)[4], unsigned address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address)
               : "memory");
}
__device__ inline void load_transposed(uint32_t (&to)[4], unsigned address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address)
               : "memory");
}

// What a lane points to for the B fragments of 16 tokens x 16 numbers: of keys, whose rows are B's
// columns (b[0] b[1]: the first eight tokens, b[2] b[3]: the others), and of values, whose rows are
// B's rows (b[0] b[1]: the first eight numbers, b[2] b[3]: the others).
template <int kUnits>
__device__ inline unsigned key_address(const uint4* tile) {
  const int lane = threadIdx.x % 32;
  return unit_address<kUnits>(tile, lane / 16 * 8 + lane % 8, lane / 8 % 2);
}
template <int kUnits>
__device__ inline unsigned value_address(const uint4* tile) {
  const int lane = threadIdx.x % 32;
  return unit_address<kUnits>(tile, lane % 16, lane / 16);
}

// What differs between the cache's two 16-bit types.
template <typename T>
struct Numbers;

template <>
struct Numbers<__half> {
  __device__ static uint32_t pack(float a, float b) {
    const __half2 both = __floats2half2_rn(a, b);
    return *reinterpret_cast<const uint32_t*>(&both);
  }
  __device__ static float2 unpack(uint32_t both) {
    return __half22float2(*reinterpret_cast<const __half2*>(&both));
  }
  static constexpr float kLargest = 65504.0f;
  __device__ static void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
};

template <>
struct Numbers<__nv_bfloat16> {
  __device__ static uint32_t pack(float a, float b) {
    const __nv_bfloat162 both = __floats2bfloat162_rn(a, b);
    return *reinterpret_cast<const uint32_t*>(&both);
  }
  __device__ static float2 unpack(uint32_t both) {
    return {__uint_as_float(both << 16), __uint_as_float(both & 0xFFFF0000u)};
  }
  static constexpr float kLargest = 3.3895e38f;
  __device__ static void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
};

// a and b as sums of two 16-bit numbers each: high + low.
template <typename T>
__device__ inline void split(float a, float b, uint32_t& high, uint32_t& low) {
  high = Numbers<T>::pack(a, b);
  const float2 rounded = Numbers<T>::unpack(high);
  low = Numbers<T>::pack(a - rounded.x, b - rounded.y);
}

__device__ inline float to_float(float x) {
  return x;
}
__device__ inline float to_float(__half x) {
  return __half2float(x);
}
__device__ inline float to_float(__nv_bfloat16 x) {
  return __bfloat162float(x);
}

// Over the four lanes that share a row of D.
__device__ inline float quad_maximum(float x) {
  x = fmaxf(x, __shfl_xor_sync(kWholeWarp, x, 1));
  return fmaxf(x, __shfl_xor_sync(kWholeWarp, x, 2));
}
__device__ inline float quad_sum(float x) {
  x += __shfl_xor_sync(kWholeWarp, x, 1);
  return x + __shfl_xor_sync(kWholeWarp, x, 2);
}

__device__ inline float warp_maximum(float x) {
  for (int distance = 16; distance > 0; distance /= 2) {
    x = fmaxf(x, __shfl_xor_sync(kWholeWarp, x, distance));
  }
  return x;
}
__device__ inline float warp_sum(float x) {
  for (int distance = 16; distance > 0; distance /= 2) {
    x += __shfl_xor_sync(kWholeWarp, x, distance);
  }
  return x;
}

// 2^x in one instruction; denormal results are 0, far below what a sum of probabilities can hold.
__device__ inline float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
  return y;
}
// 2^(x - base), 0 for what was never seen (x = -infinity, even if base is too).
__device__ inline float relative_weight(float x, float base) {
  return fast_exp2(x - fmaxf(base, -1e38f));
}

}  // namespace shoehorn::attention_device
