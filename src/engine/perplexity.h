// Perplexity of a text: exp of the mean negative log-likelihood of its tokens.
//
// The text is cut into windows of `context` tokens that begin `stride` tokens apart (the last one
// ends with the text). In each window only tokens that no earlier window scored count; the first
// token of the text is never scored. stride = context: disjoint windows; smaller: more context for
// each token, more work (Hugging Face, "Perplexity of fixed-length models"). Where the model wants
// BOS, each window begins with it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "engine/token_path.h"

namespace shoehorn {

struct PerplexityOptions {
  int64_t context = 512;      // tokens a window, BOS included
  int64_t stride = 512;       // 1 .. context
  int32_t bos_token_id = -1;  // -1: none
  std::function<void(int64_t done_tokens, int64_t total_tokens)> progress;
};

struct Perplexity {
  int64_t scored_tokens = 0;
  double mean_nll = 0;        // nats
  double standard_error = 0;  // of mean_nll, tokens taken as independent
  double value() const;       // exp(mean_nll)
};

// Errors: fewer than two tokens, options out of range, a step failed.
Result<Perplexity> perplexity(Engine& engine, std::span<const int32_t> tokens,
                              const PerplexityOptions& options);

}  // namespace shoehorn
