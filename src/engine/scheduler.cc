#include "engine/scheduler.h"

#include <algorithm>

namespace shoehorn {

void Batch::clear() {
  parts.clear();
  spans.clear();
  tokens.clear();
  positions.clear();
}

void Scheduler::remove(const Sequence* sequence) {
  std::erase(waiting_, sequence);
  std::erase(running_, sequence);
}

void Scheduler::next(PagedKv& kv, Batch& batch) {
  std::erase_if(running_, [](const Sequence* sequence) { return !sequence->running(); });
  admit(kv);
  batch.clear();
  for (Sequence* sequence : running_) {
    if (sequence->pending() == 1 && batch.rows() < max_rows_) append(*sequence, 1, batch);
  }
  for (Sequence* sequence : running_) {
    const int64_t rows = std::min(sequence->pending(), max_rows_ - batch.rows());
    if (sequence->pending() > 1 && rows > 0) append(*sequence, rows, batch);
  }
}

void Scheduler::admit(PagedKv& kv) {
  while (!waiting_.empty()) {
    Sequence* sequence = waiting_.front();
    if (!kv.reserve(sequence->pages, sequence->most_tokens())) return;
    sequence->admitted = true;
    running_.push_back(sequence);
    waiting_.pop_front();
  }
}

void Scheduler::append(Sequence& sequence, int64_t row_count, Batch& batch) const {
  const int64_t first_row = batch.rows();
  const int64_t first_position = sequence.cached;
  batch.parts.push_back({&sequence, first_row, row_count, first_position});
  batch.spans.push_back({first_row, row_count, first_position, sequence.pages.data()});
  for (int64_t i = 0; i < row_count; ++i) {
    batch.tokens.push_back(sequence.tokens[first_position + i]);
    batch.positions.push_back(static_cast<int32_t>(first_position + i));
  }
}

}  // namespace shoehorn
