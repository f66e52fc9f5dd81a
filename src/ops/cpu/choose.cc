#include "ops/choose.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "ops/softmax.h"

namespace shoehorn {
namespace {

uint64_t weight(const Candidate& candidate) {
  return weights::weight_of(candidate.steps, weights::kPowers.values.data());
}

uint64_t total_weight(std::span<const Candidate> candidates) {
  uint64_t total = 0;
  for (const Candidate& candidate : candidates) total += weight(candidate);
  return total;
}

void gather(std::span<const float> logits, float top, const Choice& choice,
            std::vector<Candidate>& candidates) {
  candidates.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    const Candidate candidate = {weights::steps_below(top, logits[i], choice.scale),
                                 static_cast<int32_t>(i)};
    if (candidate.steps != weights::kNever &&
        (choice.least_weight == 0 || weight(candidate) >= choice.least_weight)) {
      candidates.push_back(candidate);
    }
  }
}

void keep_top_k(int32_t k, std::vector<Candidate>& candidates) {
  if (k == 0 || static_cast<size_t>(k) >= candidates.size()) return;
  std::nth_element(candidates.begin(), candidates.begin() + k, candidates.end());
  candidates.resize(static_cast<size_t>(k));
}

void keep_top_p(double top_p, std::vector<Candidate>& candidates) {
  if (top_p >= 1) return;
  const uint64_t wanted = weights::share_of(total_weight(candidates), top_p);
  std::sort(candidates.begin(), candidates.end());
  uint64_t sum = 0;
  size_t kept = 0;
  while (kept < candidates.size() && sum < wanted) sum += weight(candidates[kept++]);
  candidates.resize(kept);
}

int32_t draw(const Choice& choice, std::vector<Candidate>& candidates) {
  if (choice.top_k > 0 || choice.top_p < 1) {
    std::sort(candidates.begin(), candidates.end(),
              [](const Candidate& a, const Candidate& b) { return a.token < b.token; });
  }
  uint64_t left =
      weights::fraction_of(random_at(choice.seed, choice.draw), total_weight(candidates));
  for (const Candidate& candidate : candidates) {
    if (left < weight(candidate)) return candidate.token;
    left -= weight(candidate);
  }
  return candidates.back().token;
}

}  // namespace

int32_t choose(std::span<const float> logits, const Choice& choice,
               std::vector<Candidate>& scratch) {
  const int32_t likeliest = argmax(logits);
  const float top = logits[static_cast<size_t>(likeliest)];
  if (choice.scale == 0 || !std::isfinite(top)) return likeliest;
  gather(logits, top, choice, scratch);
  keep_top_k(choice.top_k, scratch);
  keep_top_p(choice.top_p, scratch);
  return draw(choice, scratch);
}

}  // namespace shoehorn
