// CardRecorder: a step's timeline on a card, from events between the kernels and copies that are
// queued, and the clock around what the CPU computes.
#pragma once

#include <cuda_runtime_api.h>

#include <deque>
#include <functional>
#include <memory>

#include "base/result.h"
#include "engine/timeline.h"
#include "memory/copy_observer.h"

namespace shoehorn {

class CardRecorder {
 public:
  // The step begins now. REQUIRES: nothing is under way on `compute`. Errors: the card.
  static Result<std::unique_ptr<CardRecorder>> start(cudaStream_t compute);
  ~CardRecorder();
  CardRecorder(const CardRecorder&) = delete;
  CardRecorder& operator=(const CardRecorder&) = delete;

  // What is queued on `stream` between the two; the last begun ends first.
  void begin(cudaStream_t stream, TimelineSpan span);
  void end(cudaStream_t stream);

  // Of a streamer whose pieces are parts of `name`.
  CopyObserver* copies(const char* name, std::function<int64_t(const std::byte*)> layer_of);

  SpanRecorder* cpu() { return &cpu_; }

  // The step ends when all that is queued on `compute` is done; waits for it, and for copies.
  Result<TimelineStep> finish();

 private:
  struct Entry {
    TimelineSpan span;
    cudaStream_t stream = nullptr;
    cudaEvent_t begin = nullptr, end = nullptr;
  };
  class Copies;
  CardRecorder() = default;
  cudaEvent_t record(cudaStream_t stream);
  Result<double> seconds_until(cudaEvent_t event) const;

  cudaStream_t compute_ = nullptr;
  cudaEvent_t origin_ = nullptr;
  SpanRecorder cpu_;  // its clock starts when origin_ is reached
  std::deque<Entry> entries_;
  std::vector<std::unique_ptr<CopyObserver>> observers_;
};

// What is queued from here to the end of the scope. A recorder that is null records nothing.
class CardSpan {
 public:
  CardSpan(CardRecorder* recorder, cudaStream_t stream, const char* name, int64_t layer)
      : recorder_(recorder), stream_(stream) {
    if (recorder_ != nullptr) recorder_->begin(stream, {.name = name, .layer = layer});
  }
  ~CardSpan() {
    if (recorder_ != nullptr) recorder_->end(stream_);
  }
  CardSpan(const CardSpan&) = delete;
  CardSpan& operator=(const CardSpan&) = delete;

 private:
  CardRecorder* recorder_;
  cudaStream_t stream_;
};

}  // namespace shoehorn
