#include <algorithm>

#include "base/cuda_check.h"
#include "engine/card_recorder.h"

namespace shoehorn {

class CardRecorder::Copies final : public CopyObserver {
 public:
  Copies(CardRecorder& recorder, const char* name,
         std::function<int64_t(const std::byte*)> layer_of)
      : recorder_(recorder), name_(name), layer_of_(std::move(layer_of)) {}

  void before_copy(cudaStream_t stream, const std::byte* host, uint64_t bytes) override {
    recorder_.begin(stream, {.lane = TimelineLane::copies,
                             .name = name_,
                             .layer = host != nullptr ? layer_of_(host) : -1,
                             .bytes = bytes});
  }
  void after_copy(cudaStream_t stream) override { recorder_.end(stream); }

 private:
  CardRecorder& recorder_;
  const char* name_;
  std::function<int64_t(const std::byte*)> layer_of_;
};

Result<std::unique_ptr<CardRecorder>> CardRecorder::start(cudaStream_t compute) {
  std::unique_ptr<CardRecorder> recorder(new CardRecorder);
  recorder->compute_ = compute;
  recorder->origin_ = recorder->record(compute);
  TRY(cuda_result(cudaEventSynchronize(recorder->origin_), "GPU: computing"));
  recorder->cpu_ = SpanRecorder();
  return recorder;
}

CardRecorder::~CardRecorder() {
  if (origin_ != nullptr) cudaEventDestroy(origin_);
  for (const Entry& entry : entries_) {
    cudaEventDestroy(entry.begin);
    if (entry.end != nullptr) cudaEventDestroy(entry.end);
  }
}

cudaEvent_t CardRecorder::record(cudaStream_t stream) {
  cudaEvent_t event = nullptr;
  CUDA_CHECK(cudaEventCreate(&event));
  CUDA_CHECK(cudaEventRecord(event, stream));
  return event;
}

void CardRecorder::begin(cudaStream_t stream, TimelineSpan span) {
  entries_.push_back({.span = std::move(span), .stream = stream, .begin = record(stream)});
}

void CardRecorder::end(cudaStream_t stream) {
  const auto open = std::find_if(entries_.rbegin(), entries_.rend(), [&](const Entry& entry) {
    return entry.stream == stream && entry.end == nullptr;
  });
  CHECK(open != entries_.rend(), "a span ends that did not begin");
  open->end = record(stream);
}

CopyObserver* CardRecorder::copies(const char* name,
                                   std::function<int64_t(const std::byte*)> layer_of) {
  return observers_.emplace_back(std::make_unique<Copies>(*this, name, std::move(layer_of))).get();
}

Result<double> CardRecorder::seconds_until(cudaEvent_t event) const {
  TRY(cuda_result(cudaEventSynchronize(event), "GPU: computing"));
  float milliseconds = 0;
  TRY(cuda_result(cudaEventElapsedTime(&milliseconds, origin_, event), "the timeline"));
  return static_cast<double>(milliseconds) * 1e-3;
}

Result<TimelineStep> CardRecorder::finish() {
  entries_.push_back({.span = {}, .stream = compute_, .begin = record(compute_)});
  TimelineStep step = cpu_.take();
  for (Entry& entry : entries_) {
    if (entry.end == nullptr) continue;
    entry.span.begin_s = TRY(seconds_until(entry.begin));
    entry.span.end_s = TRY(seconds_until(entry.end));
    step.spans.push_back(entry.span);
  }
  step.seconds = TRY(seconds_until(entries_.back().begin));
  sort_and_clip(step);
  return step;
}

}  // namespace shoehorn
