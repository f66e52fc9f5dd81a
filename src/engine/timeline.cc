#include "engine/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace shoehorn {

const char* describe(TimelineLane lane) {
  switch (lane) {
    case TimelineLane::card:
      return "card";
    case TimelineLane::copies:
      return "copies to the card";
    case TimelineLane::cpu:
      return "CPU";
  }
  return "?";
}

void sort_and_clip(TimelineStep& step) {
  for (TimelineSpan& span : step.spans) {
    span.begin_s = std::clamp(span.begin_s, 0.0, step.seconds);
    span.end_s = std::clamp(span.end_s, span.begin_s, step.seconds);
  }
  std::erase_if(step.spans, [](const TimelineSpan& span) { return span.end_s <= span.begin_s; });
  std::stable_sort(
      step.spans.begin(), step.spans.end(),
      [](const TimelineSpan& a, const TimelineSpan& b) { return a.begin_s < b.begin_s; });
}

// Spans may overlap: two streams of copies share a lane.
double busy_share(const TimelineStep& step, TimelineLane lane) {
  if (step.seconds <= 0) return 0;
  double busy_s = 0, until_s = 0;
  for (const TimelineSpan& span : step.spans) {
    if (span.lane != lane || span.end_s <= until_s) continue;
    busy_s += span.end_s - std::max(span.begin_s, until_s);
    until_s = span.end_s;
  }
  return busy_s / step.seconds;
}

std::string timeline_trace(const std::vector<TimelineStep>& steps) {
  using nlohmann::ordered_json;
  ordered_json events = ordered_json::array();
  for (size_t s = 0; s < steps.size(); ++s) {
    const TimelineStep& step = steps[s];
    events.push_back(
        {{"ph", "M"}, {"name", "process_name"}, {"pid", s + 1}, {"args", {{"name", step.title}}}});
    for (const TimelineLane lane : kTimelineLanes) {
      const int thread = static_cast<int>(lane) + 1;
      const auto label =
          fmt::format("{}, {:.0f} % busy", describe(lane), 100 * busy_share(step, lane));
      events.push_back({{"ph", "M"},
                        {"name", "thread_name"},
                        {"pid", s + 1},
                        {"tid", thread},
                        {"args", {{"name", label}}}});
    }
    for (const TimelineSpan& span : step.spans) {
      ordered_json event = {{"ph", "X"},
                            {"name", span.name},
                            {"pid", s + 1},
                            {"tid", static_cast<int>(span.lane) + 1},
                            {"ts", span.begin_s * 1e6},  // microseconds
                            {"dur", (span.end_s - span.begin_s) * 1e6}};
      if (span.layer >= 0) event["args"]["layer"] = span.layer;
      if (span.bytes > 0) event["args"]["bytes"] = span.bytes;
      events.push_back(std::move(event));
    }
  }
  const ordered_json trace = {{"displayTimeUnit", "ms"}, {"traceEvents", std::move(events)}};
  return trace.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace shoehorn
