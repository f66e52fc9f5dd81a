// Workspace: every buffer that a step computes in, planned before the first step and never grown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/model_config.h"
#include "memory/host_buffer.h"
#include "tensor/tensor.h"

namespace shoehorn {

struct WorkspaceLimits {
  int64_t max_rows = 512;      // tokens in one step
  int64_t max_logit_rows = 8;  // rows whose logits are computed at a time
  int64_t max_context = 4096;  // tokens of one sequence
  int thread_count = 1;        // of the CPU
  // Neurons of a feed-forward computed at a time when a step has more than `few_rows` rows; all of
  // them otherwise.
  int64_t few_rows = INT64_MAX;
  int64_t wave_neurons = INT64_MAX;
};

// Views with max rows; a step slices off what it needs. h hidden, H query heads, K key heads, d
// head dim, f FFN width.
struct Workspace {
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
  std::span<float> gate, up;  // rows times the neurons computed at a time
  std::span<std::byte> neuron_scratch;

  // [rows, width] in gate or up.
  Tensor neurons(std::span<float> values, int64_t rows, int64_t width) const {
    CHECK(rows * width <= static_cast<int64_t>(values.size()), "{} x {} neurons", rows, width);
    return Tensor::matrix(values.data(), rows, width);
  }
};

// For an executor (ThreadPool, Gpu): the bytes it takes, and the views into them.
template <typename Executor>
uint64_t workspace_bytes(const ModelConfig& config, const WorkspaceLimits& limits);
template <typename Executor>
Workspace place_workspace(const ModelConfig& config, const WorkspaceLimits& limits,
                          std::span<std::byte> bytes);

// The most rows a step can have within `budget_bytes` of workspace, between 1 and `wanted`.
template <typename Executor>
int64_t rows_within(const ModelConfig& config, WorkspaceLimits limits, int64_t wanted,
                    uint64_t budget_bytes) {
  int64_t rows = wanted;
  for (; rows > 1; rows /= 2) {
    limits.max_rows = rows;
    if (workspace_bytes<Executor>(config, limits) <= budget_bytes) break;
  }
  return rows < 1 ? 1 : rows;
}

}  // namespace shoehorn
