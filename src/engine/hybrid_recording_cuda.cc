// The timeline of a hybrid model's step.
#include <algorithm>

#include "engine/hybrid_state.h"

namespace shoehorn {

Result<void> HybridForward::start_recording() {
  TRY(gpu_->wait());
  ahead_.clear();  // a step that is computed ahead was not recorded
  recorder_ = TRY(CardRecorder::start(gpu_->stream()));
  // Of a layer, groups lie before attention, and layers one behind the other.
  const auto layer_of = [this](const std::byte* host) {
    const auto& layers = weights_.host_layers;
    return std::upper_bound(layers.begin(), layers.end(), host) - layers.begin() - 1;
  };
  if (streamer_) streamer_->observe(recorder_->copies("feed-forward", layer_of));
  if (attention_streamer_) attention_streamer_->observe(recorder_->copies("attention", layer_of));
  return {};
}

Result<TimelineStep> HybridForward::take_recording() {
  CHECK(recorder_ != nullptr, "nothing is recorded");
  const std::unique_ptr<CardRecorder> recorder = std::move(recorder_);
  if (streamer_) streamer_->observe(nullptr);
  if (attention_streamer_) attention_streamer_->observe(nullptr);
  return recorder->finish();
}

}  // namespace shoehorn
