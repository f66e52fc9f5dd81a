// Attention in double, from the numbers that are in the cache.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/ops/attention_problem.h"

namespace shoehorn {

// Number i of a token's key of `head`, of its value for kv_heads + head.
inline float cached(const KvLayer& layer, const AttentionSpan& span, int64_t token, int64_t head,
                    int64_t i) {
  const std::byte* page =
      layer.data + span.pages[token / layer.page_tokens] * layer.page_stride_bytes;
  const int64_t index = (head * layer.page_tokens + token % layer.page_tokens) * layer.head_dim + i;
  const auto* halves = reinterpret_cast<const uint16_t*>(page);
  return layer.dtype == DType::f32   ? reinterpret_cast<const float*>(page)[index]
         : layer.dtype == DType::f16 ? f16_to_float(halves[index])
                                     : bf16_to_float(halves[index]);
}

// Keys or values of one head: [context, head_dim].
inline std::vector<double> cached_head(const AttentionProblem& problem, const AttentionSpan& span,
                                       int64_t head) {
  std::vector<double> numbers;
  for (int64_t t = 0; t < span.first_position + span.row_count; ++t) {
    for (int64_t i = 0; i < problem.shape.head_dim; ++i) {
      numbers.push_back(static_cast<double>(cached(problem.layer, span, t, head, i)));
    }
  }
  return numbers;
}

// out: [head_dim], zeros. k, v: [context, head_dim].
inline void attend(const AttentionProblem& problem, const float* q, const std::vector<double>& k,
                   const std::vector<double>& v, int64_t context, double* out) {
  const int64_t d = problem.shape.head_dim;
  std::vector<double> p(static_cast<size_t>(context));
  for (int64_t t = 0; t < context; ++t) {
    double product = 0;
    for (int64_t i = 0; i < d; ++i) {
      product += static_cast<double>(q[i]) * k[static_cast<size_t>(t * d + i)];
    }
    p[static_cast<size_t>(t)] = product * static_cast<double>(problem.scale);
  }
  const double maximum = *std::max_element(p.begin(), p.end());
  double sum = 0;
  for (double& x : p) sum += x = std::exp(x - maximum);
  for (int64_t t = 0; t < context; ++t) {
    const double weight = p[static_cast<size_t>(t)] / sum;
    for (int64_t i = 0; i < d; ++i) out[i] += weight * v[static_cast<size_t>(t * d + i)];
  }
}

inline std::vector<double> attention_reference(const AttentionProblem& problem) {
  const int64_t heads = problem.shape.heads, d = problem.shape.head_dim;
  const int64_t kv_heads = problem.shape.kv_heads, group = heads / kv_heads;
  std::vector<double> out(problem.q.size());
  for (const AttentionSpan& span : problem.spans) {
    for (int64_t kv_head = 0; kv_head < kv_heads; ++kv_head) {
      const std::vector<double> k = cached_head(problem, span, kv_head);
      const std::vector<double> v = cached_head(problem, span, kv_heads + kv_head);
      for (int64_t i = 0; i < span.row_count * group; ++i) {
        const int64_t r = i / group, head = kv_head * group + i % group;
        const auto at = static_cast<size_t>(((span.first_row + r) * heads + head) * d);
        attend(problem, &problem.q[at], k, v, span.first_position + r + 1, &out[at]);
      }
    }
  }
  return out;
}

}  // namespace shoehorn
