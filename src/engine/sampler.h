// Sampler: the next token from logits, as the OpenAI API and Hugging Face's generation define it.
//
// Order: penalties, temperature, min-p, top-k, top-p, draw (ops/choose.h). temperature 0 is greedy
// (after penalties).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "ops/choose.h"

namespace shoehorn {

struct SamplingParameters {
  double temperature = 0;  // 0: greedy; at most 100
  int64_t top_k = 0;       // the k most likely; 0: all
  double top_p = 1;        // the fewest tokens whose probabilities reach p, in (0, 1]
  double min_p = 0;        // tokens at least min_p times as likely as the likeliest, in [0, 1)
  double repetition_penalty =
      1;  // logit of a token seen (prompt included): / penalty if > 0, else * penalty
  double frequency_penalty = 0;  // logit - penalty * times generated, in [-2, 2]
  double presence_penalty = 0;   // logit - penalty if generated at all, in [-2, 2]
  uint64_t seed = 0;             // the same seed and logits give the same tokens
};

// Errors: a value outside its range, by name.
Result<void> check(const SamplingParameters& parameters);

class Sampler {
 public:
  // vocabulary_size: V, the length of the logits. REQUIRES: check(parameters).ok().
  Sampler(const SamplingParameters& parameters, int64_t vocabulary_size);

  // Tells of tokens in the context, for the penalties.
  void see_prompt(std::span<const int32_t> tokens);
  void see_generated(int32_t token);

  // logits: [V], overwritten. Ids whose logit is minus infinity are never drawn.
  int32_t choose(std::span<float> logits);

  // How the next token is to be chosen elsewhere, where the logits are; nothing where penalties
  // make that more than a choice. drawn() tells that it was.
  std::optional<Choice> choice() const {
    if (has_penalties()) return {};
    return choice_;
  }
  void drawn() { ++choice_.draw; }

 private:
  bool has_penalties() const { return !seen_.empty() || !generated_counts_.empty(); }
  void apply_penalties(std::span<float> logits) const;

  SamplingParameters parameters_;
  Choice choice_;
  std::vector<uint32_t> generated_counts_;  // [V], empty without frequency or presence penalty
  std::vector<uint8_t> seen_;               // [V], empty without repetition penalty
  std::vector<Candidate> candidates_;       // capacity V, empty when greedy
};

}  // namespace shoehorn
