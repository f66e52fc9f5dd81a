#include "engine/perplexity.h"

#include <algorithm>
#include <cmath>

#include "ops/softmax.h"

namespace shoehorn {
namespace {

// Mean and variance of negative log-likelihoods, one at a time (Welford 1962).
struct Accumulator {
  int64_t count = 0;
  double mean = 0;
  double squares = 0;

  void add(double value) {
    ++count;
    const double delta = value - mean;
    mean += delta / static_cast<double>(count);
    squares += delta * (value - mean);
  }
};

Result<void> score_window(Engine& engine, Request request, Accumulator& total) {
  const std::vector<int32_t> tokens = request.prompt;
  request.on_logits = [&](int64_t position, std::span<float> logits) {
    if (position + 1 >= static_cast<int64_t>(tokens.size())) return;
    const float logit = logits[static_cast<size_t>(tokens[position + 1])];
    total.add(log_sum_exp(logits) - static_cast<double>(logit));
  };
  const SequenceId id = TRY(engine.submit(std::move(request)));
  while (!engine.idle()) TRY(engine.step());
  engine.release(id);
  return {};
}

}  // namespace

double Perplexity::value() const {
  return std::exp(mean_nll);
}

Result<Perplexity> perplexity(Engine& engine, std::span<const int32_t> tokens,
                              const PerplexityOptions& options) {
  const int64_t bos = options.bos_token_id >= 0 ? 1 : 0;
  const int64_t length = options.context - bos;  // text tokens a window
  const auto count = static_cast<int64_t>(tokens.size());
  if (count < 2) return fail("perplexity: expected a text of at least 2 tokens, found {}", count);
  if (length < 2)
    return fail("context: expected at least {} tokens, found {}", 2 + bos, options.context);
  if (options.stride < 1 || options.stride > length) {
    return fail("stride: expected 1 to {} tokens, found {}", length, options.stride);
  }
  Accumulator total;
  int64_t scored_end = 1;  // tokens before this one are scored, or never will be
  for (int64_t begin = 0; scored_end < count; begin += options.stride) {
    const int64_t end = std::min(begin + length, count);
    Request request;
    request.prompt.reserve(static_cast<size_t>(bos + end - begin));
    if (bos) request.prompt.push_back(options.bos_token_id);
    for (int64_t i = begin; i < end; ++i) request.prompt.push_back(tokens[i]);
    // The logits at a position score the token after it. The first token of a later window has no
    // context to be scored in unless BOS stands before it.
    const int64_t first_scored = std::max(scored_end, begin + (begin > 0 && bos ? 0 : 1));
    request.score_from = first_scored - begin + bos - 1;
    TRY(score_window(engine, std::move(request), total));
    scored_end = end;
    if (options.progress) options.progress(end, count);
  }
  Perplexity result{.scored_tokens = total.count, .mean_nll = total.mean};
  if (total.count > 1) {
    const auto n = static_cast<double>(total.count);
    result.standard_error = std::sqrt(total.squares / (n - 1) / n);
  }
  return result;
}

}  // namespace shoehorn
