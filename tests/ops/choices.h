// Choices as a sampler makes them, for tests of every body.
#pragma once

#include <algorithm>
#include <numbers>

#include "ops/choose.h"

namespace shoehorn {

inline Choice make_choice(double temperature, int32_t top_k, double top_p, double min_p,
                          uint64_t seed, uint64_t draw) {
  Choice choice = {.top_p = top_p,
                   .top_k = top_k,
                   .least_weight = weights::share_of(weights::kOne, min_p),
                   .seed = seed,
                   .draw = draw};
  if (temperature > 0) {
    choice.scale = static_cast<float>(std::min(std::numbers::log2e / temperature, 1e30));
  }
  return choice;
}

}  // namespace shoehorn
