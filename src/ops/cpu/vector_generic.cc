// The vector kernels in plain C++: the specification that the other instruction sets are tested
// against.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/cpu/vector_kernels.h"
#include "tensor/dtype.h"

namespace shoehorn {
namespace {

void rms_norm(const float* x, const float* weight, float epsilon, int64_t n, float* out) {
  float squares = 0;
  for (int64_t i = 0; i < n; ++i) squares += x[i] * x[i];
  const float factor = 1.0f / std::sqrt(squares / static_cast<float>(n) + epsilon);
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * factor * weight[i];
}

void swiglu(const float* gate, const float* up, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

void rotate_half(float* x, const float* cosines, const float* sines, int64_t pairs) {
  for (int64_t i = 0; i < pairs; ++i) {
    const float a = x[i], b = x[pairs + i];
    x[i] = a * cosines[i] - b * sines[i];
    x[pairs + i] = b * cosines[i] + a * sines[i];
  }
}

void rotate_interleaved(float* x, const float* cosines, const float* sines, int64_t pairs) {
  for (int64_t i = 0; i < pairs; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    x[2 * i] = a * cosines[i] - b * sines[i];
    x[2 * i + 1] = b * cosines[i] + a * sines[i];
  }
}

float largest(const float* x, int64_t n) {
  float best = -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < n; ++i) best = std::max(best, x[i]);
  return best;
}

double exponentials(const float* x, float shift, float factor, int64_t n, float* out) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    out[i] = std::exp((x[i] - shift) * factor);
    sum += static_cast<double>(out[i]);
  }
  return sum;
}

void scale(float* x, float factor, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x[i] *= factor;
}

void to_f16(const float* x, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = float_to_f16(x[i]);
}

void to_bf16(const float* x, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = float_to_bf16(x[i]);
}

// Element `i` of a token's key (side 0) or value (side 1).
float cached(const AttentionChunk& a, int side, int64_t token, int64_t i) {
  const int64_t page = a.pages[token / a.page_tokens];
  const int64_t head = side * a.kv_heads + a.kv_head;
  const int64_t index = (head * a.page_tokens + token % a.page_tokens) * a.head_dim + i;
  const std::byte* data = a.data + page * a.page_stride_bytes;
  switch (a.type) {
    case CacheType::f32:
      return reinterpret_cast<const float*>(data)[index];
    case CacheType::f16:
      return f16_to_float(reinterpret_cast<const uint16_t*>(data)[index]);
    case CacheType::bf16:
      return bf16_to_float(reinterpret_cast<const uint16_t*>(data)[index]);
  }
  return 0;
}

void attention_row(const AttentionChunk& a, int64_t q) {
  const float* query = a.queries + q * a.padded_dim;
  float* p = a.scores;
  float* weighted = a.weighted + q * a.padded_dim;
  const int64_t tokens = a.limits[q];
  for (int64_t t = 0; t < tokens; ++t) {
    p[t] = 0;
    for (int64_t i = 0; i < a.head_dim; ++i) p[t] += query[i] * cached(a, 0, a.first_token + t, i);
  }
  a.maxima[q] = largest(p, tokens);
  a.sums[q] = 0;
  std::fill(weighted, weighted + a.padded_dim, 0.0f);
  for (int64_t t = 0; t < tokens; ++t) {
    p[t] = std::exp(p[t] - a.maxima[q]);
    a.sums[q] += p[t];
    for (int64_t i = 0; i < a.head_dim; ++i) {
      weighted[i] += p[t] * cached(a, 1, a.first_token + t, i);
    }
  }
}

void attention_chunk(const AttentionChunk& a) {
  for (int64_t q = 0; q < a.query_count; ++q) attention_row(a, q);
}

void attention_merge(const AttentionPartial& into, const AttentionPartial& from,
                     int64_t padded_dim) {
  if (*from.sum == 0) return;
  const bool first = *into.sum == 0;
  const float maximum = first ? *from.maximum : std::max(*into.maximum, *from.maximum);
  const float old_factor = first ? 0 : std::exp(*into.maximum - maximum);
  const float new_factor = std::exp(*from.maximum - maximum);
  *into.maximum = maximum;
  *into.sum = (first ? 0 : *into.sum * old_factor) + *from.sum * new_factor;
  for (int64_t i = 0; i < padded_dim; ++i) {
    into.weighted[i] = (first ? 0 : into.weighted[i] * old_factor) + from.weighted[i] * new_factor;
  }
}

}  // namespace

const VectorKernels kVectorGeneric = {.isa = Isa::generic,
                                      .rms_norm = rms_norm,
                                      .swiglu = swiglu,
                                      .rotate_half = rotate_half,
                                      .rotate_interleaved = rotate_interleaved,
                                      .largest = largest,
                                      .exponentials = exponentials,
                                      .scale = scale,
                                      .to_f16 = to_f16,
                                      .to_bf16 = to_bf16,
                                      .attention_chunk = attention_chunk,
                                      .attention_merge = attention_merge};

}  // namespace shoehorn
