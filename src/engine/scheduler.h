// Scheduler: which rows the next step computes. Continuous batching (Yu et al. 2022) with chunked
// prefill (Agrawal et al. 2023): every running sequence that waits for its next token gets its row
// first, then prompts fill what is left of the step in order of arrival.
//
// A sequence is admitted when pages for its prompt and its longest continuation are free, and keeps
// them until it is released: once running it cannot fail for want of cache.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "engine/sequence.h"
#include "ops/attention.h"

namespace shoehorn {

// One step's rows. Buffers keep their capacity from step to step.
struct Batch {
  struct Part {
    Sequence* sequence;
    int64_t first_row;
    int64_t row_count;
    int64_t first_position;
  };
  std::vector<Part> parts;
  std::vector<AttentionSpan> spans;  // one a part
  std::vector<int32_t> tokens;       // [rows]
  std::vector<int32_t> positions;    // [rows]

  int64_t rows() const { return static_cast<int64_t>(tokens.size()); }
  void clear();
};

class Scheduler {
 public:
  explicit Scheduler(int64_t max_rows) : max_rows_(max_rows) {}

  void add(Sequence* sequence) { waiting_.push_back(sequence); }
  void remove(const Sequence* sequence);

  // Admits what fits and fills `batch`; empty when there is nothing to do.
  void next(PagedKv& kv, Batch& batch);

  bool idle() const { return waiting_.empty() && running_.empty(); }

 private:
  void admit(PagedKv& kv);
  void append(Sequence& sequence, int64_t row_count, Batch& batch) const;

  int64_t max_rows_;
  std::deque<Sequence*> waiting_;  // in order of arrival
  std::vector<Sequence*> running_;
};

}  // namespace shoehorn
