#include "bench/memory/trace_plot.h"

#include <algorithm>
#include <cmath>

namespace shoehorn {
namespace {

constexpr double kWidth = 900, kHeight = 360, kLeft = 70, kTop = 40, kRight = 20, kBottom = 50;
constexpr const char* kColours[] = {"#c0392b", "#8e44ad", "#1f77b4", "#7f8c8d"};

double mib(uint64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

// Logarithmic, as the curves lie orders of magnitude apart: 1 MiB and less is the bottom.
double height_of(double mebibytes, double most) {
  const double part = std::log(std::max(mebibytes, 1.0)) / std::log(most);
  return kHeight - kBottom - part * (kHeight - kTop - kBottom);
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return fmt::format("<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     text);
}

}  // namespace

std::string plot_unusable(const std::vector<TraceCurve>& curves) {
  int64_t last = 1;
  double most = 10;
  for (const TraceCurve& curve : curves) {
    for (const UnusableSample& sample : curve.samples) {
      last = std::max(last, sample.step);
      most = std::max(most, mib(sample.hole_bytes));
    }
  }
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"white\"/>\n",
      kWidth, kHeight);
  svg += text_at(kLeft, 20, "start", "Free bytes outside the largest block that can be had, MiB");
  for (double mark = 1; mark <= most; mark *= 10) {
    const double y = height_of(mark, most);
    svg += fmt::format("<path d=\"M{} {:.1f}H{}\" stroke=\"#ddd\"/>\n", kLeft, y, kWidth - kRight);
    svg += text_at(kLeft - 8, y + 4, "end", fmt::format("{:.0f}", mark));
  }
  for (size_t i = 0; i < curves.size(); ++i) {
    const char* colour = kColours[i % std::size(kColours)];
    std::string path;
    for (const UnusableSample& sample : curves[i].samples) {
      const double x = kLeft + static_cast<double>(sample.step) / static_cast<double>(last) *
                                   (kWidth - kLeft - kRight);
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x,
                          height_of(mib(sample.hole_bytes), most));
    }
    svg += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\"/>\n", path, colour);
    const double x = kLeft + 200 * static_cast<double>(i);
    svg += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{}\"/>\n", x,
                       kHeight - 22, colour);
    svg += text_at(x + 18, kHeight - 11, "start", curves[i].name);
  }
  return svg + "</svg>\n";
}

}  // namespace shoehorn
