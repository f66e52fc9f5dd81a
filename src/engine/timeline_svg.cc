// A timeline as a drawing: for each step a panel of the whole, and one of three layers.
#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "base/bytes.h"
#include "base/xml.h"
#include "engine/timeline.h"

namespace shoehorn {
namespace {

constexpr int kWidth = 1200, kMargin = 24, kLabels = 190;
constexpr int kLeft = kMargin + kLabels, kPlot = kWidth - kLeft - kMargin;
constexpr int kLane = 30, kLaneGap = 6, kAxis = 26;
constexpr int kPanel = 3 * (kLane + kLaneGap) + kAxis + 14;
constexpr int kTitle = 46, kStep = kTitle + 2 * kPanel + 12;
constexpr double kLeastPixels = 0.4;

struct Colour {
  std::string_view name;
  const char* fill;
};
constexpr std::array<Colour, 5> kColours = {{{"attention", "#1d4ed8"},
                                             {"feed-forward", "#15803d"},
                                             {"head", "#9d174d"},
                                             {"embedding", "#a16207"},
                                             {"the CPU's sums", "#57534e"}}};

const char* colour_of(const TimelineSpan& span) {
  for (const Colour& colour : kColours) {
    if (std::string_view(span.name).starts_with(colour.name)) return colour.fill;
  }
  return "#57534e";
}

// From `begin_s` to `end_s` over the width of the plot.
struct Window {
  double begin_s = 0, end_s = 1;
  double x(double seconds) const { return kLeft + kPlot * (seconds - begin_s) / (end_s - begin_s); }
};

std::string tooltip(const TimelineSpan& span) {
  std::string text = escape_xml(span.name);
  if (span.layer >= 0) text += fmt::format(", layer {}", span.layer);
  text += fmt::format(", {:.3g} ms", 1e3 * (span.end_s - span.begin_s));
  if (span.bytes > 0) {
    text += fmt::format(", {}, {:.1f} GB/s", format_bytes(span.bytes),
                        static_cast<double>(span.bytes) / (span.end_s - span.begin_s) / 1e9);
  }
  return text;
}

std::string span_svg(const TimelineSpan& span, const Window& window, int y) {
  const double begin = std::max(window.x(span.begin_s), static_cast<double>(kLeft));
  const double end = std::min(window.x(span.end_s), static_cast<double>(kLeft + kPlot));
  if (end <= begin) return "";
  std::string svg = fmt::format(
      "<g><title>{}</title><rect x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" "
      "fill=\"{}\"/>",
      tooltip(span), begin, y, std::max(kLeastPixels, end - begin), kLane, colour_of(span));
  std::string label = span.name;
  if (span.layer >= 0) label += fmt::format(" {}", span.layer);
  if (end - begin > 7.0 * static_cast<double>(label.size()) + 8) {
    svg += fmt::format("<text class=\"in\" x=\"{:.1f}\" y=\"{}\">{}</text>", begin + 4, y + 19,
                       escape_xml(label));
  }
  return svg + "</g>\n";
}

// Spans of a lane, those that a pixel cannot tell apart as one.
std::vector<TimelineSpan> merged(const TimelineStep& step, TimelineLane lane,
                                 const Window& window) {
  std::vector<TimelineSpan> spans;
  for (const TimelineSpan& span : step.spans) {
    if (span.lane != lane || span.end_s < window.begin_s || span.begin_s > window.end_s) continue;
    const double width = window.x(span.end_s) - window.x(span.begin_s);
    if (!spans.empty() && width < 1 && spans.back().name == span.name &&
        window.x(span.begin_s) - window.x(spans.back().end_s) < kLeastPixels) {
      spans.back().end_s = std::max(spans.back().end_s, span.end_s);
      spans.back().bytes += span.bytes;
      if (spans.back().layer != span.layer) spans.back().layer = -1;
    } else {
      spans.push_back(span);
    }
  }
  return spans;
}

// A step between ticks of 1, 2 or 5 times a power of ten, so that there are at most a dozen.
double tick_seconds(const Window& window) {
  const double least = (window.end_s - window.begin_s) / 12;
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least) return factor * power;
  }
  return 10 * power;
}

std::string axis_svg(const Window& window, int y) {
  std::string svg = fmt::format("<path class=\"axis\" d=\"M{} {}h{}\"/>\n", kLeft, y, kPlot);
  const double tick = tick_seconds(window);
  for (double t = std::ceil(window.begin_s / tick) * tick; t < window.end_s + tick / 1000;
       t += tick) {
    svg += fmt::format(
        "<path class=\"axis\" d=\"M{0:.1f} {1}v5\"/><text class=\"tick\" x=\"{0:.1f}\" "
        "y=\"{2}\">{3:g} ms</text>\n",
        window.x(t), y, y + 18, std::round(t * 1e9) / 1e6);
  }
  return svg;
}

std::string panel_svg(const TimelineStep& step, const Window& window, bool whole, int y) {
  std::string svg;
  for (const TimelineLane lane : kTimelineLanes) {
    const std::string busy =
        whole ? fmt::format(", {:.0f} % busy", 100 * busy_share(step, lane)) : "";
    svg += fmt::format(
        "<text class=\"label\" x=\"{}\" y=\"{}\">{}{}</text>\n"
        "<rect class=\"lane\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>\n",
        kMargin, y + 19, describe(lane), busy, kLeft, y, kPlot, kLane);
    for (const TimelineSpan& span : merged(step, lane, window)) svg += span_svg(span, window, y);
    y += kLane + kLaneGap;
  }
  return svg + axis_svg(window, y);
}

// From the first to the last span of three layers in the middle, on the processors; the whole step
// where there are fewer.
Window middle_of(const TimelineStep& step) {
  int64_t layers = 0;
  for (const TimelineSpan& span : step.spans) layers = std::max(layers, span.layer + 1);
  Window window = {step.seconds, 0};
  const int64_t first = layers / 2 - 1;
  for (const TimelineSpan& span : step.spans) {
    if (span.lane == TimelineLane::copies || span.layer < first || span.layer > first + 2) continue;
    window.begin_s = std::min(window.begin_s, span.begin_s);
    window.end_s = std::max(window.end_s, span.end_s);
  }
  return layers < 4 || window.end_s <= window.begin_s ? Window{0, step.seconds} : window;
}

std::string step_svg(const TimelineStep& step, int y) {
  std::string svg = fmt::format("<text class=\"title\" x=\"{}\" y=\"{}\">{}: {:.4g} ms</text>\n",
                                kMargin, y + 26, escape_xml(step.title), 1e3 * step.seconds);
  if (step.seconds <= 0) return svg;
  svg += panel_svg(step, {0, step.seconds}, true, y + kTitle);
  return svg + panel_svg(step, middle_of(step), false, y + kTitle + kPanel);
}

constexpr const char* kStyle = R"(<style>
text { font-family: system-ui, sans-serif; font-size: 12px; fill: #1f2937 }
.title { font-size: 15px; font-weight: 600 } .in { font-size: 11px; fill: #ffffff }
.tick { font-size: 11px; text-anchor: middle } .axis { stroke: #9ca3af; fill: none }
.lane { fill: #9ca3af; fill-opacity: 0.18 }
@media (prefers-color-scheme: dark) { text { fill: #e5e7eb } .in { fill: #ffffff } }
</style>
)";

std::string legend_svg(int y) {
  std::string svg;
  int x = kLeft;
  for (const Colour& colour : kColours) {
    svg += fmt::format(
        "<rect x=\"{}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{}\" "
        "y=\"{}\">{}</text>\n",
        x, y, colour.fill, x + 18, y + 10, colour.name);
    x += 140;
  }
  return svg;
}

}  // namespace

std::string timeline_svg(const std::vector<TimelineStep>& steps) {
  const int height = static_cast<int>(steps.size()) * kStep + 2 * kMargin;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\" role=\"img\">\n{2}",
      kWidth, height, kStyle);
  for (size_t i = 0; i < steps.size(); ++i) {
    svg += step_svg(steps[i], static_cast<int>(i) * kStep);
  }
  return svg + legend_svg(height - kMargin - 12) + "</svg>\n";
}

}  // namespace shoehorn
