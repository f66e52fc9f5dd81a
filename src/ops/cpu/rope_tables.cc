// Frequencies and their scalings; formulas as the models' reference code has them (transformers
// modeling_rope_utils.py).
#include <algorithm>
#include <cmath>
#include <numbers>

#include "ops/rope.h"

namespace shoehorn {

RopeTable rope_table(int64_t dimensions, double theta) {
  CHECK(dimensions > 0 && dimensions % 2 == 0 && theta > 0, "{} dimensions, theta {}", dimensions,
        theta);
  RopeTable table;
  for (int64_t i = 0; i < dimensions; i += 2) {
    const double exponent = static_cast<double>(i) / static_cast<double>(dimensions);
    table.frequencies.push_back(std::pow(theta, -exponent));
  }
  return table;
}

void scale_linear(RopeTable& table, double factor) {
  for (double& frequency : table.frequencies) frequency /= factor;
}

void scale_by_divisors(RopeTable& table, std::span<const float> divisors) {
  CHECK(divisors.size() == table.frequencies.size(), "{} divisors of {} frequencies",
        divisors.size(), table.frequencies.size());
  for (size_t i = 0; i < divisors.size(); ++i) {
    table.frequencies[i] /= static_cast<double>(divisors[i]);
  }
}

void scale_llama3(RopeTable& table, const Llama3Scaling& scaling) {
  const double original = scaling.original_max_position_embeddings;
  for (double& frequency : table.frequencies) {
    const double wave_length = 2 * std::numbers::pi / frequency;
    if (wave_length < original / scaling.high_freq_factor) continue;
    if (wave_length > original / scaling.low_freq_factor) {
      frequency /= scaling.factor;
      continue;
    }
    const double smooth = (original / wave_length - scaling.low_freq_factor) /
                          (scaling.high_freq_factor - scaling.low_freq_factor);
    frequency = (1 - smooth) * frequency / scaling.factor + smooth * frequency;
  }
}

void scale_yarn(RopeTable& table, const YarnScaling& scaling) {
  const auto n = static_cast<double>(table.dimensions());
  // The pair whose wave turns `rotations` times within the original context.
  const auto pair_of = [&](double rotations) {
    return n *
           std::log(scaling.original_max_position_embeddings / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(scaling.theta));
  };
  const double low = std::max(std::floor(pair_of(scaling.beta_fast)), 0.0);
  double high = std::min(std::ceil(pair_of(scaling.beta_slow)), n - 1);
  if (high == low) high += 0.001;
  for (size_t i = 0; i < table.frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const double frequency = table.frequencies[i];
    table.frequencies[i] = frequency * (1 - ramp) + frequency / scaling.factor * ramp;
  }
  table.magnitude = scaling.magnitude;
}

}  // namespace shoehorn
