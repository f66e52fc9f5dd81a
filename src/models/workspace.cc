#include "models/workspace.h"

#include <algorithm>

#include "ops/attention.h"
#include "ops/linear.h"

namespace shoehorn {
namespace {

Tensor take_matrix(Arena& arena, int64_t rows, int64_t columns) {
  return Tensor::matrix(arena.take_array<float>(rows * columns), rows, columns);
}

std::span<std::byte> take_bytes(Arena& arena, int64_t bytes) {
  return {arena.take(static_cast<uint64_t>(bytes)), static_cast<size_t>(bytes)};
}

void place(const ModelConfig& config, Workspace& work, Arena& arena) {
  const WorkspaceLimits& limits = work.limits;
  const int64_t rows = limits.max_rows;
  const int64_t widest =
      std::max({config.hidden_size, config.query_size(), config.intermediate_size});
  work.residual = take_matrix(arena, rows, config.hidden_size);
  work.normed = take_matrix(arena, rows, config.hidden_size);
  work.cosines = take_matrix(arena, rows, config.head_dim / 2);
  work.sines = take_matrix(arena, rows, config.head_dim / 2);
  work.head_rows = take_matrix(arena, limits.max_logit_rows, config.hidden_size);
  work.logits = take_matrix(arena, limits.max_logit_rows, config.vocab_size);
  work.activation_scratch =
      take_bytes(arena, activation_scratch_bytes(std::max(rows, limits.max_logit_rows), widest));

  const uint64_t shared = arena.mark();
  work.query = take_matrix(arena, rows, config.query_size());
  work.key = take_matrix(arena, rows, config.key_value_size());
  work.value = take_matrix(arena, rows, config.key_value_size());
  work.attended = take_matrix(arena, rows, config.query_size());
  work.attention_scratch = take_bytes(
      arena, attention_scratch_bytes(limits.thread_count, rows, config.num_attention_heads,
                                     config.head_dim, limits.max_context));
  arena.rewind(shared);
  work.gate = take_matrix(arena, rows, config.intermediate_size);
  work.up = take_matrix(arena, rows, config.intermediate_size);
}

uint64_t planned_bytes(const ModelConfig& config, const WorkspaceLimits& limits) {
  Workspace work;
  work.limits = limits;
  Arena arena;
  place(config, work, arena);
  return arena.peak_bytes();
}

}  // namespace

Result<Workspace> Workspace::create(const ModelConfig& config, const WorkspaceLimits& limits) {
  Workspace work;
  work.limits = limits;
  work.buffer = TRY(HostBuffer::create(planned_bytes(config, limits), "the workspace"));
  Arena arena(work.buffer.bytes());
  place(config, work, arena);
  return work;
}

int64_t rows_within(const ModelConfig& config, WorkspaceLimits limits, int64_t wanted,
                    uint64_t budget_bytes) {
  int64_t rows = wanted;
  for (; rows > 1; rows /= 2) {
    limits.max_rows = rows;
    if (planned_bytes(config, limits) <= budget_bytes) break;
  }
  return std::max<int64_t>(rows, 1);
}

}  // namespace shoehorn
