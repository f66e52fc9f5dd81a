// Forward: the computing half of a step. The token path decides whose rows run and what is chosen;
// a Forward takes the batch through embedding, layers and head on the processors it was made for,
// and owns the memory that takes: weights, workspace, cache.
//
//   TRY(forward.begin(batch));
//   for each layer: TRY(forward.attention(layer)); TRY(forward.feed_forward(layer));
//   Tensor logits = TRY(forward.head(rows));
//
// or, where it chooses tokens itself: TRY(forward.decode(batch, rows)).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/thread_pool.h"
#include "engine/paged_kv.h"
#include "engine/scheduler.h"
#include "engine/timeline.h"
#include "memory/weight_source.h"
#include "models/layers.h"
#include "models/workspace.h"
#include "ops/choose.h"

namespace shoehorn {

// What the engine runs: everything but the weights is a value.
struct Model {
  ModelConfig config;
  ModelLayout layout;
  RopeTable rope;
  std::vector<int32_t> masked_ids;  // vocabulary rows that must never be chosen
};

// Weight bytes that one decoding step reads, by where they are.
struct WeightBytes {
  uint64_t vram = 0;
  uint64_t cpu = 0;     // host memory, computed there
  uint64_t stream = 0;  // host memory, copied to the card in every step
  uint64_t disk = 0;    // of those of CPU and stream, what is read from disk in every step
  uint64_t host() const { return cpu + stream; }
};

// A row of a step that decodes.
struct DecodeRow {
  Choice choice;      // of the token behind it
  bool last = false;  // that token ends its sequence
};

class Forward {
 public:
  virtual ~Forward() = default;

  // Tokens into the residual stream, positions into angles.
  virtual Result<void> begin(const Batch& batch) = 0;
  // x += attention(norm(x)), x += ffn(norm(x)), layer after layer.
  virtual Result<void> attention(int64_t layer) = 0;
  virtual Result<void> feed_forward(int64_t layer) = 0;
  // Logits of the given rows of the batch, [rows, V] in host memory; at most max_logit_rows rows.
  // Once it succeeded it does not fail until the next begin().
  virtual Result<Tensor> head(std::span<const int64_t> rows) = 0;

  // A whole step of rows that are one token each, with the choice of the tokens behind them, where
  // the logits are. decodes(): how many such rows it takes; 0: none, head() leaves the choice to
  // the caller. Returns the chosen tokens, [rows]. Errors: nothing has changed.
  virtual int64_t decodes() const { return 0; }
  virtual Result<std::span<const int32_t>> decode(const Batch&, std::span<const DecodeRow>) {
    return fail("this Forward does not choose tokens");
  }

  virtual PagedKv& kv() = 0;
  virtual const WorkspaceLimits& limits() const = 0;
  virtual uint64_t workspace_bytes() const = 0;
  // What the driver counts for this process on the card now; 0 where everything is on the host.
  virtual uint64_t vram_bytes() const { return 0; }
  // What it may hold there.
  virtual uint64_t vram_budget_bytes() const { return 0; }
  // What it may hold in host memory, where weights beyond that are read from disk.
  virtual uint64_t ram_budget_bytes() const { return UINT64_MAX; }
  virtual WeightBytes weight_bytes() const = 0;
  // One line for people: what lies where.
  virtual std::string describe() const = 0;
  // When which processor is at work, recorded from here on until it is taken: a step. Errors: the
  // card.
  virtual Result<void> start_recording() = 0;
  virtual Result<TimelineStep> take_recording() = 0;
  // Host memory that holds weights, to measure how fast they can be read.
  virtual std::span<const std::byte> host_weights() const = 0;
};

// Everything in host memory, computed by the pool. `weights` serves the layout's blocks.
struct HostForwardOptions {
  WorkspaceLimits limits;
  KvOptions kv;
  Precision precision = Precision::fast;
};
Result<std::unique_ptr<Forward>> make_host_forward(ThreadPool& pool, const Model& model,
                                                   std::unique_ptr<WeightSource> weights,
                                                   const HostForwardOptions& options);

}  // namespace shoehorn
