// The workspace's plan, compiled once for each executor (workspace.cc, workspace_gpu.cc).
#pragma once

#include <algorithm>

#include "models/workspace.h"

namespace shoehorn {

// Scratch that an executor's ops ask for.
struct ScratchSizes {
  int64_t (*activations)(int64_t rows, int64_t columns);
  int64_t (*attention)(const ModelConfig& config, const WorkspaceLimits& limits);
};
template <typename Executor>
ScratchSizes scratch_sizes();

inline Tensor take_matrix(Arena& arena, int64_t rows, int64_t columns) {
  return Tensor::matrix(arena.take_array<float>(rows * columns), rows, columns);
}

inline std::span<std::byte> take_bytes(Arena& arena, int64_t bytes) {
  return {arena.take(static_cast<uint64_t>(bytes)), static_cast<size_t>(bytes)};
}

inline Workspace place(const ModelConfig& config, const WorkspaceLimits& limits,
                       const ScratchSizes& scratch, Arena& arena) {
  const int64_t rows = limits.max_rows;
  const int64_t widest = std::max(config.hidden_size, config.query_size());
  const int64_t few_rows = std::min(limits.few_rows, rows);
  const int64_t wave = std::min(limits.wave_neurons, config.intermediate_size);
  const auto neurons =
      static_cast<size_t>(std::max(few_rows * config.intermediate_size, rows * wave));
  Workspace work = {.limits = limits};
  work.residual = take_matrix(arena, rows, config.hidden_size);
  work.normed = take_matrix(arena, rows, config.hidden_size);
  work.cosines = take_matrix(arena, rows, config.head_dim / 2);
  work.sines = take_matrix(arena, rows, config.head_dim / 2);
  work.head_rows = take_matrix(arena, limits.max_logit_rows, config.hidden_size);
  work.logits = take_matrix(arena, limits.max_logit_rows, config.vocab_size);
  work.activation_scratch =
      take_bytes(arena, scratch.activations(std::max(rows, limits.max_logit_rows), widest));

  const uint64_t shared = arena.mark();
  work.query = take_matrix(arena, rows, config.query_size());
  work.key = take_matrix(arena, rows, config.key_value_size());
  work.value = take_matrix(arena, rows, config.key_value_size());
  work.attended = take_matrix(arena, rows, config.query_size());
  work.attention_scratch = take_bytes(arena, scratch.attention(config, limits));
  arena.rewind(shared);
  work.gate = {arena.take_array<float>(static_cast<int64_t>(neurons)), neurons};
  work.up = {arena.take_array<float>(static_cast<int64_t>(neurons)), neurons};
  work.neuron_scratch =
      take_bytes(arena, std::max(scratch.activations(few_rows, config.intermediate_size),
                                 scratch.activations(rows, wave)));
  return work;
}

template <typename Executor>
uint64_t workspace_bytes(const ModelConfig& config, const WorkspaceLimits& limits) {
  Arena arena;
  place(config, limits, scratch_sizes<Executor>(), arena);
  return arena.peak_bytes();
}

template <typename Executor>
Workspace place_workspace(const ModelConfig& config, const WorkspaceLimits& limits,
                          std::span<std::byte> bytes) {
  Arena arena(bytes);
  return place(config, limits, scratch_sizes<Executor>(), arena);
}

}  // namespace shoehorn
