// Engine: the way of a token. Requests go in, each step computes one batch of rows through all
// layers, tokens come out.
//
//   SequenceId id = TRY(engine.submit(request));
//   while (!engine.idle()) TRY(engine.step());
//   engine.release(id);
//
// One thread drives an Engine; the ops inside a step use the pool.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/thread_pool.h"
#include "engine/paged_kv.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "memory/weight_source.h"
#include "models/layers.h"

namespace shoehorn {

struct EngineOptions {
  int64_t max_context = 4096;                            // tokens of one sequence
  int64_t max_rows = 512;                                // tokens of one step (prefill chunk)
  uint64_t workspace_budget_bytes = uint64_t{64} << 20;  // lowers max_rows on wide models
  KvOptions kv;
  Precision precision = Precision::fast;
};

// What the engine runs: everything but the weights is a value.
struct Model {
  ModelConfig config;
  ModelLayout layout;
  RopeTable rope;
  std::unique_ptr<WeightSource> weights;
  std::vector<int32_t> masked_ids;  // vocabulary rows that must never be chosen
};

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> create(ThreadPool& pool, Model model,
                                                const EngineOptions& options);

  // Queues a request. `continue_from`: a finished sequence whose cache is taken over as far as the
  // token ids agree (its id is then gone). Errors: empty prompt, ids outside the vocabulary, more
  // tokens than max_context or than the cache holds, sampling values out of range.
  Result<SequenceId> submit(Request request, std::optional<SequenceId> continue_from = {});

  // Computes one batch. Errors: weights could not be read; all sequences are as before the step.
  Result<void> step();

  bool idle() const { return scheduler_.idle(); }
  const Sequence& sequence(SequenceId id) const;
  void release(SequenceId id);  // frees its cache; running or not

  const Model& model() const { return model_; }
  const EngineOptions& options() const { return options_; }
  uint64_t kv_bytes() const { return kv_.size_bytes(); }
  uint64_t workspace_bytes() const { return work_.size_bytes(); }
  WeightSource& weights() { return *model_.weights; }

 private:
  Engine(ThreadPool& pool, Model model, const EngineOptions& options, Workspace work, PagedKv kv);

  Result<void> compute_layers(const StepContext& step, const Tensor& x);
  Result<void> deliver(const StepContext& step, const Tensor& x, const Stopwatch& clock);
  void collect_wanted_rows();
  void deliver_row(const Batch::Part& part, int64_t row, std::span<float> logits);
  void choose(Sequence& sequence, std::span<float> logits);
  static void account(const Batch::Part& part, double seconds);
  Result<void> check(const Request& request) const;
  void take_over(SequenceId from, Sequence& to);

  ThreadPool& pool_;
  Model model_;
  EngineOptions options_;
  Workspace work_;
  PagedKv kv_;
  Scheduler scheduler_;
  Batch batch_;
  struct WantedRow {
    int32_t part;
    int64_t row;
  };
  std::vector<WantedRow> wanted_;   // rows of the batch whose logits somebody needs
  std::vector<int64_t> head_rows_;  // the ones computed at a time
  std::map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  SequenceId next_id_ = 1;
};

}  // namespace shoehorn
