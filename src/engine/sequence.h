// A sequence: one prompt and its continuation on its way through the engine.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/paged_kv.h"
#include "engine/sampler.h"

namespace shoehorn {

using SequenceId = int64_t;

enum class FinishReason : uint8_t {
  none,        // still running
  stop_token,  // one of stop_token_ids was chosen (it is not delivered)
  length,      // max_new_tokens reached
  listener,    // on_token asked to stop
};

struct Request {
  std::vector<int32_t> prompt;  // at least one token
  int64_t max_new_tokens = 0;   // 0: only compute the prompt
  SamplingParameters sampling;
  std::vector<int32_t> stop_token_ids;

  // Called for each chosen token; false ends the sequence.
  std::function<bool(int32_t token)> on_token;
  // Called with the logits that follow the token at each position >= score_from; the values may be
  // overwritten.
  std::function<void(int64_t position, std::span<float> logits)> on_logits;
  int64_t score_from = 0;
};

struct SequenceStatistics {
  int64_t prompt_tokens = 0;     // of them computed here, not found in the cache
  double prompt_seconds = 0;     // of the steps that computed them, the first chosen token included
  int64_t generation_steps = 0;  // steps after that, one chosen token each
  double generation_seconds = 0;
};

struct Sequence {
  // vocabulary_size: V, the length of the logits. All memory that steps will need is taken here.
  Sequence(SequenceId id, Request asked, int64_t vocabulary_size)
      : id(id),
        request(std::move(asked)),
        tokens(request.prompt),
        sampler(request.sampling, vocabulary_size) {
    tokens.reserve(static_cast<size_t>(most_tokens()));
    sampler.see_prompt(request.prompt);
  }

  SequenceId id = 0;
  Request request;
  std::vector<int32_t> tokens;  // prompt and what was chosen
  int64_t cached = 0;           // leading tokens whose keys and values are in the cache
  int64_t new_tokens = 0;       // chosen so far
  PageTable pages;
  Sampler sampler;
  bool admitted = false;
  FinishReason finish = FinishReason::none;
  SequenceStatistics statistics;

  bool running() const { return admitted && finish == FinishReason::none; }
  // Tokens that the next steps must compute before one can be chosen.
  int64_t pending() const { return static_cast<int64_t>(tokens.size()) - cached; }
  int64_t most_tokens() const {
    return static_cast<int64_t>(request.prompt.size()) + request.max_new_tokens;
  }
};

}  // namespace shoehorn
