// Free but unusable bytes over a replayed trace, as an SVG.
#pragma once

#include <string>
#include <vector>

#include "bench/memory/trace_replay.h"

namespace shoehorn {

struct TraceCurve {
  std::string name;
  std::vector<UnusableSample> samples;
};

std::string plot_unusable(const std::vector<TraceCurve>& curves);

}  // namespace shoehorn
