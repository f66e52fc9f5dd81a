#include "engine/sampler.h"

#include <algorithm>
#include <numbers>

namespace shoehorn {
namespace {

Result<void> in_range(const char* field, double value, double low, double high) {
  if (value >= low && value <= high) return {};
  return fail("{}: expected a number from {} to {}, found {}", field, low, high, value);
}

Choice choice_of(const SamplingParameters& parameters) {
  Choice choice = {.top_p = parameters.top_p,
                   .top_k = static_cast<int32_t>(parameters.top_k),
                   .least_weight = weights::share_of(weights::kOne, parameters.min_p),
                   .seed = parameters.seed};
  if (parameters.temperature > 0) {
    // Finite however small the temperature: the likeliest is 0 below itself.
    choice.scale = static_cast<float>(std::min(std::numbers::log2e / parameters.temperature, 1e30));
  }
  return choice;
}

}  // namespace

Result<void> check(const SamplingParameters& parameters) {
  TRY(in_range("temperature", parameters.temperature, 0, 100));
  TRY(in_range("top_k", static_cast<double>(parameters.top_k), 0, 1e9));
  TRY(in_range("top_p", parameters.top_p, 1e-9, 1));
  TRY(in_range("min_p", parameters.min_p, 0, 1));
  TRY(in_range("repetition_penalty", parameters.repetition_penalty, 0.01, 100));
  TRY(in_range("frequency_penalty", parameters.frequency_penalty, -2, 2));
  return in_range("presence_penalty", parameters.presence_penalty, -2, 2);
}

Sampler::Sampler(const SamplingParameters& parameters, int64_t vocabulary_size)
    : parameters_(parameters), choice_(choice_of(parameters)) {
  const auto size = static_cast<size_t>(vocabulary_size);
  if (parameters.repetition_penalty != 1) seen_.resize(size);
  if (parameters.frequency_penalty != 0 || parameters.presence_penalty != 0) {
    generated_counts_.resize(size);
  }
  if (parameters.temperature > 0) candidates_.reserve(size);
}

void Sampler::see_prompt(std::span<const int32_t> tokens) {
  if (seen_.empty()) return;
  for (const int32_t token : tokens) seen_[token] = 1;
}

void Sampler::see_generated(int32_t token) {
  if (!seen_.empty()) seen_[token] = 1;
  if (!generated_counts_.empty()) ++generated_counts_[token];
}

int32_t Sampler::choose(std::span<float> logits) {
  apply_penalties(logits);
  const int32_t token = shoehorn::choose(logits, choice_, candidates_);
  ++choice_.draw;
  return token;
}

void Sampler::apply_penalties(std::span<float> logits) const {
  const auto repetition = static_cast<float>(parameters_.repetition_penalty);
  for (size_t i = 0; i < seen_.size(); ++i) {
    if (seen_[i]) logits[i] = logits[i] > 0 ? logits[i] / repetition : logits[i] * repetition;
  }
  const auto frequency = static_cast<float>(parameters_.frequency_penalty);
  const auto presence = static_cast<float>(parameters_.presence_penalty);
  for (size_t i = 0; i < generated_counts_.size(); ++i) {
    if (generated_counts_[i] > 0) {
      logits[i] -= frequency * static_cast<float>(generated_counts_[i]) + presence;
    }
  }
}

}  // namespace shoehorn
