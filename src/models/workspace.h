// Workspace: every buffer that a step computes in, planned before the first step and never grown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "formats/model_config.h"
#include "memory/host_buffer.h"
#include "tensor/tensor.h"

namespace shoehorn {

struct WorkspaceLimits {
  int64_t max_rows = 512;      // tokens in one step
  int64_t max_logit_rows = 8;  // rows whose logits are computed at a time
  int64_t max_context = 4096;  // tokens of one sequence
  int thread_count = 1;
};

// Views with max rows; a step slices off what it needs. h hidden, H query heads, K key heads, d
// head dim, f FFN width.
struct Workspace {
  static Result<Workspace> create(const ModelConfig& config, const WorkspaceLimits& limits);

  WorkspaceLimits limits;
  Tensor residual;        // [rows, h]
  Tensor normed;          // [rows, h]
  Tensor cosines, sines;  // [rows, d/2]
  Tensor head_rows;       // [logit rows, h]
  Tensor logits;          // [logit rows, V]
  std::span<std::byte> activation_scratch;
  // Attention's buffers share memory with the feed-forward's: the two never live together.
  Tensor query, key, value;  // [rows, H*d], [rows, K*d], [rows, K*d]
  Tensor attended;           // [rows, H*d]
  std::span<std::byte> attention_scratch;
  Tensor gate, up;  // [rows, f]

  uint64_t size_bytes() const { return buffer.size_bytes(); }
  HostBuffer buffer;
};

// The most rows a step can have within `budget_bytes` of workspace, between 1 and `wanted`.
int64_t rows_within(const ModelConfig& config, WorkspaceLimits limits, int64_t wanted,
                    uint64_t budget_bytes);

}  // namespace shoehorn
