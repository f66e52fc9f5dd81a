// What the vector ops ask of an instruction set. One table of functions for each; vector_generic.cc
// is the specification, the others instantiate vector_kernels_body.h and attention_kernels_body.h.
//
// Files compiled for an instruction set include this header, so it must define no function.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/cpu.h"

namespace shoehorn {

inline constexpr int64_t kAttentionTile = 32;     // tokens that are floats at a time
inline constexpr int64_t kAttentionQueries = 32;  // query rows that share one reading of a chunk
inline constexpr int64_t kAttentionPadding = 16;  // head_dim is padded to a multiple, with zeros
inline constexpr int64_t kAttentionScores = 256;  // kAttentionChunk

// Element types of a KV cache as the kernels know them.
enum class CacheType : uint8_t { f32, f16, bf16 };

// A chunk of one KV head's context against up to kAttentionQueries query rows: for each query row,
// over its first `limit` tokens of the chunk,
//     maximum = max score,  p_s = exp(score_s - maximum),  sum = sum p_s,  weighted = sum p_s v_s
// A limit of 0 gives minus infinity, 0 and zeros. What a row gets does not depend on the others.
struct AttentionChunk {
  // The cache, see ops/attention.h.
  const std::byte* data;
  int64_t page_stride_bytes;
  int64_t page_tokens;
  const int32_t* pages;
  CacheType type;
  int64_t kv_heads;
  int64_t kv_head;
  int64_t head_dim;

  int64_t first_token;
  int64_t token_count;  // the largest limit, 1..kAttentionScores

  int64_t padded_dim;
  int64_t query_count;
  const float* queries;   // [query_count, padded_dim], times scale
  const int32_t* limits;  // [query_count]

  float* maxima;    // [query_count]
  float* sums;      // [query_count]
  float* weighted;  // [query_count, padded_dim]

  float* scores;  // scratch: [query_count, kAttentionScores]
  float* tile;    // scratch: [kAttentionTile, padded_dim]
};

// Results over some chunks of one query row: sum 0 means none yet.
struct AttentionPartial {
  float* maximum;
  float* sum;
  float* weighted;  // [padded_dim]
};

struct VectorKernels {
  Isa isa;
  // out = x / sqrt(mean(x^2) + epsilon) * weight, n values.
  void (*rms_norm)(const float* x, const float* weight, float epsilon, int64_t n, float* out);
  // out = silu(gate) * up.
  void (*swiglu)(const float* gate, const float* up, int64_t n, float* out);
  // Pairs (x_i, x_{i+pairs}), or (x_{2i}, x_{2i+1}), turned by the angles of cosines and sines.
  void (*rotate_half)(float* x, const float* cosines, const float* sines, int64_t pairs);
  void (*rotate_interleaved)(float* x, const float* cosines, const float* sines, int64_t pairs);
  float (*largest)(const float* x, int64_t n);
  // out = exp((x - shift) * factor); returns their sum. out may be x.
  double (*exponentials)(const float* x, float shift, float factor, int64_t n, float* out);
  void (*scale)(float* x, float factor, int64_t n);
  // To 16 bits, rounded to nearest even.
  void (*to_f16)(const float* x, int64_t n, uint16_t* out);
  void (*to_bf16)(const float* x, int64_t n, uint16_t* out);
  void (*attention_chunk)(const AttentionChunk& chunk);
  // into = into and from together; from is a later chunk.
  void (*attention_merge)(const AttentionPartial& into, const AttentionPartial& from,
                          int64_t padded_dim);
};

// The table of the instruction set in use.
const VectorKernels& vector_kernels();

// The best table for `isa`, of those that this build has.
const VectorKernels& vector_kernels_for(Isa isa);

extern const VectorKernels kVectorGeneric;
extern const VectorKernels kVectorAvx2;    // defined on x86 alone
extern const VectorKernels kVectorAvx512;  // defined on x86 alone

}  // namespace shoehorn
