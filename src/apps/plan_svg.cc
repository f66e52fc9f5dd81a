#include <algorithm>
#include <array>

#include "apps/plan_report.h"
#include "base/bytes.h"
#include "base/xml.h"

namespace shoehorn {
namespace {

constexpr int kWidth = 960, kMargin = 24, kBarHeight = 44, kRowHeight = 92, kHeader = 84;
constexpr int kBarsWidth = kWidth - 2 * kMargin;
constexpr int kLegendColumns = 2, kLegendLine = 22;

struct Colour {
  const char* key;
  const char* fill;
};
// Of similar lightness, so that white text stands on each and neighbours can be told apart without
// colour vision by the gaps between them.
constexpr std::array<Colour, 14> kColours = {{{"overhead", "#6b7280"},
                                              {"workspace", "#7d6b91"},
                                              {"ring", "#0e7490"},
                                              {"kv", "#a16207"},
                                              {"embedding", "#4d7c0f"},
                                              {"head", "#9d174d"},
                                              {"attention", "#1d4ed8"},
                                              {"attention_streamed", "#5b53c0"},
                                              {"feed_forward_card", "#15803d"},
                                              {"feed_forward_cpu", "#9a3412"},
                                              {"feed_forward_streamed", "#0f766e"},
                                              {"file", "#57534e"},
                                              {"spill", "#86198f"},
                                              {"other", "#44403c"}}};

const char* colour_of(std::string_view key) {
  for (const Colour& colour : kColours) {
    if (key == colour.key) return colour.fill;
  }
  return kColours.back().fill;
}

struct Segment {
  const char* key;
  std::string brief, label;
  uint64_t bytes;
};

struct Bar {
  std::string title;
  uint64_t capacity_bytes;  // what the outline shows; 0: none
  std::vector<Segment> segments;

  uint64_t total() const {
    uint64_t bytes = 0;
    for (const Segment& segment : segments) bytes += segment.bytes;
    return bytes;
  }
};

std::vector<Bar> bars_of(const PlanReport& report) {
  const Goal& goal = report.goal;
  Bar vram, ram;
  for (const PlanPart& part : parts_of(report.placement)) {
    if (part.vram_bytes > 0)
      vram.segments.push_back({part.key, part.brief, part.label, part.vram_bytes});
    if (part.ram_bytes > 0)
      ram.segments.push_back({part.key, part.brief, part.label, part.ram_bytes});
  }
  const auto title = [](const char* name, uint64_t used, uint64_t budget) {
    return fmt::format("{}: {} of {}", name, format_bytes(used), format_bytes(budget));
  };
  vram.title = title("VRAM", vram.total(), goal.vram_budget_bytes);
  vram.capacity_bytes = goal.vram_budget_bytes;
  ram.title = title("RAM", ram.total(), goal.ram_budget_bytes);
  ram.capacity_bytes = goal.ram_budget_bytes;
  Bar disk = {fmt::format("Disk: {}, read once at the start", format_bytes(report.file_bytes)),
              0,
              {{"file", "model file", "model file", report.file_bytes}}};
  if (const uint64_t bytes = report.placement.disk.total(); bytes > 0) {
    disk.title += fmt::format("; {} in every step", format_bytes(bytes));
    disk.segments.push_back({"spill", "in every step", "weights, read in every step", bytes});
  }
  std::vector<Bar> bars;
  if (goal.vram_budget_bytes > 0) bars.push_back(vram);
  bars.push_back(ram);
  bars.push_back(disk);
  return bars;
}

// A text is about this wide at 12 pixels; what does not fit is left to the legend and the tooltip.
double text_width(std::string_view text) {
  return 6.6 * static_cast<double>(text.size());
}

std::string segment_svg(const Segment& segment, double x, double width, int y) {
  const std::string size = format_bytes(segment.bytes);
  const std::string label = escape_xml(segment.label);
  std::string svg = fmt::format(
      "<g><title>{}: {}</title><rect x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" rx=\"2\" "
      "fill=\"{}\"/>",
      label, size, x, y, std::max(0.8, width - 1), kBarHeight, colour_of(segment.key));
  const std::string& text = width > text_width(segment.label) + 12 ? segment.label : segment.brief;
  const bool label_fits = width > text_width(text) + 12;
  if (label_fits) {
    svg += fmt::format("<text class=\"in\" x=\"{:.1f}\" y=\"{}\">{}</text>", x + 6, y + 18,
                       escape_xml(text));
  }
  if (width > text_width(size) + 12) {
    svg += fmt::format("<text class=\"in\" x=\"{:.1f}\" y=\"{}\">{}</text>", x + 6,
                       label_fits ? y + 35 : y + 27, size);
  }
  return svg + "</g>\n";
}

std::string bar_svg(const Bar& bar, double pixels_a_byte, int y) {
  std::string svg = fmt::format("<text class=\"title\" x=\"{}\" y=\"{}\">{}</text>\n", kMargin,
                                y - 10, escape_xml(bar.title));
  if (bar.capacity_bytes > 0) {
    svg += fmt::format(
        "<rect class=\"room\" x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" rx=\"3\"/>\n",
        kMargin, y, static_cast<double>(bar.capacity_bytes) * pixels_a_byte, kBarHeight);
  }
  double x = kMargin;
  for (const Segment& segment : bar.segments) {
    const double width = static_cast<double>(segment.bytes) * pixels_a_byte;
    svg += segment_svg(segment, x, width, y);
    x += width;
  }
  return svg;
}

std::string legend_svg(const PlanReport& report, int y) {
  std::string svg;
  int index = 0;
  for (const PlanPart& part : parts_of(report.placement)) {
    const int x = kMargin + index % kLegendColumns * (kBarsWidth / kLegendColumns);
    const int top = y + index / kLegendColumns * kLegendLine;
    svg += fmt::format(
        "<rect x=\"{}\" y=\"{}\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{}\"/>"
        "<text class=\"small\" x=\"{}\" y=\"{}\">{} ({})</text>\n",
        x, top, colour_of(part.key), x + 18, top + 10, escape_xml(part.label),
        format_bytes(part.vram_bytes + part.ram_bytes));
    ++index;
  }
  return svg;
}

constexpr const char* kStyle = R"(<style>
text { font-family: system-ui, sans-serif; fill: #1f2937 }
.head { font-size: 17px; font-weight: 600 } .title { font-size: 13px; font-weight: 600 }
.small { font-size: 12px } .in { font-size: 12px; fill: #ffffff }
.room { fill: #9ca3af; fill-opacity: 0.22; stroke: #9ca3af }
@media (prefers-color-scheme: dark) { text { fill: #e5e7eb } .in { fill: #ffffff } }
</style>
)";

}  // namespace

std::string plan_svg(const PlanReport& report) {
  const std::vector<Bar> bars = bars_of(report);
  // A room far larger than all contents would squeeze them: it runs off the picture's edge.
  uint64_t contents = 1;
  for (const Bar& bar : bars) contents = std::max(contents, bar.total());
  uint64_t longest = contents;
  for (const Bar& bar : bars) {
    longest = std::max(longest, std::min(bar.capacity_bytes, contents + contents / 4));
  }
  const double pixels_a_byte = static_cast<double>(kBarsWidth) / static_cast<double>(longest);
  const auto rows = static_cast<int>(bars.size());
  const auto parts = static_cast<int>(parts_of(report.placement).size());
  const int legend = kHeader + rows * kRowHeight;
  const int height = legend + (parts + kLegendColumns - 1) / kLegendColumns * kLegendLine + kMargin;

  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\" role=\"img\">\n{2}",
      kWidth, height, kStyle);
  svg += fmt::format("<text class=\"head\" x=\"{}\" y=\"30\">{} in {} on {}</text>\n", kMargin,
                     escape_xml(report.model.config.model_name), escape_xml(report.model.weights),
                     escape_xml(report.machine.name));
  svg += fmt::format(
      "<text class=\"small\" x=\"{}\" y=\"50\">{:.3g} tokens/s, first token of a prompt of "
      "{} after {:.3g} s</text>\n",
      kMargin, report.placement.decode_tokens_per_s, report.goal.prompt_tokens,
      report.placement.first_token_s);
  for (int i = 0; i < rows; ++i) {
    svg += bar_svg(bars[static_cast<size_t>(i)], pixels_a_byte, kHeader + i * kRowHeight + 12);
  }
  return svg + legend_svg(report, legend) + "</svg>\n";
}

}  // namespace shoehorn
