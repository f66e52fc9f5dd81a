// Timeline: when card, bus and CPU were at work within one step. Recorded only when asked for:
// Forward::start_recording before a step, take_recording behind it; a recorder that is null costs
// a branch a span.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"

namespace shoehorn {

enum class TimelineLane : uint8_t { card, copies, cpu };
inline constexpr TimelineLane kTimelineLanes[] = {TimelineLane::card, TimelineLane::copies,
                                                  TimelineLane::cpu};
const char* describe(TimelineLane lane);

struct TimelineSpan {
  TimelineLane lane = TimelineLane::card;
  std::string name;    // "attention"
  int64_t layer = -1;  // -1: none
  double begin_s = 0;  // from the step's begin on
  double end_s = 0;
  uint64_t bytes = 0;  // that were copied; 0: no copy
};

struct TimelineStep {
  std::string title;  // "one token", given by who shows it
  double seconds = 0;
  std::vector<TimelineSpan> spans;  // by begin
};

// What is inside the step, by begin.
void sort_and_clip(TimelineStep& step);

// The share of the step in which a lane was at work.
double busy_share(const TimelineStep& step, TimelineLane lane);

// Chrome's trace event format (the JSON object with traceEvents), which Perfetto and
// chrome://tracing read: a process a step, a thread a lane.
std::string timeline_trace(const std::vector<TimelineStep>& steps);

// A drawing that needs nothing else: each step as a whole, and three layers in its middle.
std::string timeline_svg(const std::vector<TimelineStep>& steps);

// Spans of one thread, by the clock.
class SpanRecorder {
 public:
  double now_s() const { return clock_.seconds(); }
  void add(TimelineSpan span) { spans_.push_back(std::move(span)); }
  TimelineStep take() {
    TimelineStep step = {.title = {}, .seconds = now_s(), .spans = std::move(spans_)};
    sort_and_clip(step);
    return step;
  }

 private:
  Stopwatch clock_;
  std::vector<TimelineSpan> spans_;
};

// The CPU's work from here to the end of the scope.
class CpuSpan {
 public:
  CpuSpan(SpanRecorder* recorder, const char* name, int64_t layer)
      : recorder_(recorder), name_(name), layer_(layer) {
    if (recorder_ != nullptr) begin_s_ = recorder_->now_s();
  }
  ~CpuSpan() {
    if (recorder_ == nullptr) return;
    recorder_->add({.lane = TimelineLane::cpu,
                    .name = name_,
                    .layer = layer_,
                    .begin_s = begin_s_,
                    .end_s = recorder_->now_s()});
  }
  CpuSpan(const CpuSpan&) = delete;
  CpuSpan& operator=(const CpuSpan&) = delete;

 private:
  SpanRecorder* recorder_;
  const char* name_;
  int64_t layer_;
  double begin_s_ = 0;
};

}  // namespace shoehorn
