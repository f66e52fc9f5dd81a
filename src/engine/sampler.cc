#include "engine/sampler.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "ops/softmax.h"

namespace shoehorn {
namespace {

Result<void> in_range(const char* field, double value, double low, double high) {
  if (value >= low && value <= high) return {};
  return fail("{}: expected a number from {} to {}, found {}", field, low, high, value);
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
    : parameters_(parameters), random_(parameters.seed) {
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
  if (parameters_.temperature == 0) return argmax(logits);
  gather_candidates(logits);
  return draw();
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

// Leaves in candidates_ the tokens that top-k, top-p and min-p allow.
void Sampler::gather_candidates(std::span<const float> logits) {
  const float top = logits[argmax(logits)];
  const float inverse_temperature = static_cast<float>(1.0 / parameters_.temperature);
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    const float probability = std::exp((logits[i] - top) * inverse_temperature);
    // Below 2^-40 of the likeliest a token cannot change a draw of 53 bits noticeably; min-p cuts
    // higher still.
    if (probability >= 0x1p-40f && probability >= parameters_.min_p) {
      candidates_.push_back({static_cast<int32_t>(i), probability});
    }
  }
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.token < b.token;
  };
  const auto k = static_cast<size_t>(parameters_.top_k);
  if (k > 0 && k < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + k, candidates_.end(), likelier);
    candidates_.resize(k);
  }
  if (parameters_.top_p >= 1) return;

  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.probability;
  std::sort(candidates_.begin(), candidates_.end(), likelier);
  double sum = 0;
  size_t kept = 0;
  while (kept < candidates_.size() && sum < parameters_.top_p * total) {
    sum += candidates_[kept++].probability;
  }
  candidates_.resize(kept);
}

int32_t Sampler::draw() {
  CHECK(!candidates_.empty(), "no token left to draw");
  double total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.probability;
  double left = random_.uniform() * total;
  for (const Candidate& candidate : candidates_) {
    left -= candidate.probability;
    if (left < 0) return candidate.token;
  }
  return candidates_.back().token;
}

}  // namespace shoehorn
