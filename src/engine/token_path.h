// Engine: the way of a token. Requests go in, each step computes one batch of rows through all
// layers, tokens come out.
//
//   SequenceId id = TRY(engine.submit(request));
//   while (!engine.idle()) TRY(engine.step());
//   engine.release(id);
//
// One thread drives an Engine; what a step computes with is its Forward's business.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "engine/forward.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"

namespace shoehorn {

struct EngineOptions {
  int64_t max_context = 4096;  // tokens of one sequence
};

class Engine {
 public:
  // `forward` computes `model`.
  Engine(std::unique_ptr<const Model> model, std::unique_ptr<Forward> forward,
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

  const Model& model() const { return *model_; }
  const EngineOptions& options() const { return options_; }
  const Forward& forward() const { return *forward_; }
  Forward& forward() { return *forward_; }
  const PagedKv& kv() const { return kv_; }

 private:
  bool collect_choices();
  Result<void> decode(const Stopwatch& clock);
  Result<void> deliver(const Stopwatch& clock);
  void collect_wanted_rows();
  void deliver_row(const Batch::Part& part, int64_t row, std::span<float> logits);
  void choose(Sequence& sequence, std::span<float> logits);
  static void accept(Sequence& sequence, int32_t token);
  static void account(const Batch::Part& part, double seconds);
  Result<void> check(const Request& request) const;
  void take_over(SequenceId from, Sequence& to);

  std::unique_ptr<const Model> model_;
  std::unique_ptr<Forward> forward_;
  EngineOptions options_;
  PagedKv& kv_;
  Scheduler scheduler_;
  Batch batch_;
  struct WantedRow {
    int32_t part;
    int64_t row;
  };
  std::vector<WantedRow> wanted_;   // rows of the batch whose logits somebody needs
  std::vector<int64_t> head_rows_;  // the ones computed at a time
  std::vector<DecodeRow> decode_rows_;
  std::map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  SequenceId next_id_ = 1;
};

}  // namespace shoehorn
