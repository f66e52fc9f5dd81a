#include "engine/token_path.h"

#include <algorithm>
#include <limits>

namespace shoehorn {

// One step, top to bottom: who runs, embed, every layer, head, choose, deliver.
Result<void> Engine::step() {
  const Stopwatch clock;
  scheduler_.next(kv_, batch_);
  if (batch_.rows() == 0) return {};

  if (collect_choices()) return decode(clock);
  TRY(forward_->begin(batch_));  // x = embedding of the rows' tokens
  for (int64_t layer = 0; layer < model_->config.num_hidden_layers; ++layer) {
    TRY(forward_->attention(layer));     // x += attention(norm(x))
    TRY(forward_->feed_forward(layer));  // x += ffn(norm(x))
  }
  return deliver(clock);
}

// True if each row of the batch is its sequence's last token, wanted for nothing but the choice of
// the next, and the Forward can make all these choices: then decode_rows_ says how.
bool Engine::collect_choices() {
  decode_rows_.clear();
  if (batch_.rows() > forward_->decodes()) return false;
  for (const Batch::Part& part : batch_.parts) {
    const Sequence& sequence = *part.sequence;
    const Request& request = sequence.request;
    const std::optional<Choice> choice = sequence.sampler.choice();
    if (sequence.pending() != 1 || request.on_logits || !choice || request.max_new_tokens == 0) {
      return false;
    }
    decode_rows_.push_back(
        {.choice = *choice, .last = sequence.new_tokens + 1 == request.max_new_tokens});
  }
  return true;
}

Result<void> Engine::decode(const Stopwatch& clock) {
  const std::span<const int32_t> tokens = TRY(forward_->decode(batch_, decode_rows_));
  for (size_t i = 0; i < batch_.parts.size(); ++i) {
    const Batch::Part& part = batch_.parts[i];
    part.sequence->cached += 1;
    part.sequence->sampler.drawn();
    accept(*part.sequence, tokens[i]);
    account(part, clock.seconds());
  }
  return {};
}

// Logits of the rows somebody wants, a workspace full at a time; then every sequence moves on.
Result<void> Engine::deliver(const Stopwatch& clock) {
  for (const Batch::Part& part : batch_.parts) part.sequence->cached += part.row_count;
  collect_wanted_rows();
  const auto group = static_cast<size_t>(forward_->limits().max_logit_rows);
  for (size_t begin = 0; begin < wanted_.size(); begin += group) {
    const size_t end = std::min(begin + group, wanted_.size());
    head_rows_.clear();
    for (size_t i = begin; i < end; ++i) head_rows_.push_back(wanted_[i].row);
    const Result<Tensor> computed = forward_->head(head_rows_);  // [end - begin, V]
    if (!computed.ok()) {
      CHECK(begin == 0, "the head failed between rows: {}", computed.error().message);
      for (const Batch::Part& part : batch_.parts) part.sequence->cached -= part.row_count;
      return computed.error();
    }
    const Tensor& logits = *computed;
    for (size_t i = begin; i < end; ++i) {
      float* row = logits.row<float>(static_cast<int64_t>(i - begin));
      deliver_row(batch_.parts[wanted_[i].part], wanted_[i].row,
                  {row, static_cast<size_t>(logits.columns())});
    }
  }
  for (const Batch::Part& part : batch_.parts) account(part, clock.seconds());
  return {};
}

void Engine::collect_wanted_rows() {
  wanted_.clear();
  for (size_t p = 0; p < batch_.parts.size(); ++p) {
    const Batch::Part& part = batch_.parts[p];
    const Request& request = part.sequence->request;
    for (int64_t i = 0; i < part.row_count; ++i) {
      const bool scored = request.on_logits && part.first_position + i >= request.score_from;
      const bool last = part.sequence->pending() == 0 && i + 1 == part.row_count;
      if (scored || (last && request.max_new_tokens > 0)) {
        wanted_.push_back({static_cast<int32_t>(p), part.first_row + i});
      }
    }
  }
}

void Engine::deliver_row(const Batch::Part& part, int64_t row, std::span<float> logits) {
  Sequence& sequence = *part.sequence;
  const int64_t position = part.first_position + row - part.first_row;
  if (sequence.request.on_logits && position >= sequence.request.score_from) {
    sequence.request.on_logits(position, logits);
  }
  if (position + 1 == sequence.cached && sequence.pending() == 0) choose(sequence, logits);
}

// The next token of a sequence whose tokens are all computed.
void Engine::choose(Sequence& sequence, std::span<float> logits) {
  const Request& request = sequence.request;
  if (sequence.new_tokens >= request.max_new_tokens) return;
  for (const int32_t id : model_->masked_ids) logits[id] = -std::numeric_limits<float>::infinity();
  accept(sequence, sequence.sampler.choose(logits));
}

void Engine::accept(Sequence& sequence, int32_t token) {
  const Request& request = sequence.request;
  const auto& stops = request.stop_token_ids;
  if (std::find(stops.begin(), stops.end(), token) != stops.end()) {
    sequence.finish = FinishReason::stop_token;
    return;
  }
  sequence.tokens.push_back(token);
  sequence.sampler.see_generated(token);
  ++sequence.new_tokens;
  if (request.on_token && !request.on_token(token)) {
    sequence.finish = FinishReason::listener;
  } else if (sequence.new_tokens == request.max_new_tokens) {
    sequence.finish = FinishReason::length;
  }
}

// The step's wall-clock time belongs to the prompt until the first token, to the generation after
// that.
void Engine::account(const Batch::Part& part, double seconds) {
  Sequence& sequence = *part.sequence;
  const auto prompt_size = static_cast<int64_t>(sequence.request.prompt.size());
  if (part.first_position < prompt_size) {
    sequence.statistics.prompt_tokens += part.row_count;
    sequence.statistics.prompt_seconds += seconds;
  } else {
    sequence.statistics.generation_steps += 1;
    sequence.statistics.generation_seconds += seconds;
  }
  if (sequence.request.max_new_tokens == 0 && sequence.pending() == 0) {
    sequence.finish = FinishReason::length;
  }
}

Engine::Engine(std::unique_ptr<const Model> model, std::unique_ptr<Forward> forward,
               const EngineOptions& options)
    : model_(std::move(model)),
      forward_(std::move(forward)),
      options_(options),
      kv_(forward_->kv()),
      scheduler_(forward_->limits().max_rows) {}

Result<void> Engine::check(const Request& request) const {
  if (request.prompt.empty()) return fail("the prompt has no tokens");
  for (const int32_t token : request.prompt) {
    if (token < 0 || token >= model_->config.vocab_size) {
      return fail("prompt: expected token ids below {}, found {}", model_->config.vocab_size,
                  token);
    }
  }
  const int64_t tokens = static_cast<int64_t>(request.prompt.size()) + request.max_new_tokens;
  const int64_t most = std::min(options_.max_context, kv_.page_count() * kv_.page_tokens());
  if (tokens > most) {
    return fail("prompt of {} tokens and {} new ones: expected at most {} (the context) in all",
                request.prompt.size(), request.max_new_tokens, most);
  }
  return shoehorn::check(request.sampling);
}

Result<SequenceId> Engine::submit(Request request, std::optional<SequenceId> continue_from) {
  TRY(check(request));
  auto sequence =
      std::make_unique<Sequence>(next_id_++, std::move(request), model_->config.vocab_size);
  if (continue_from) take_over(*continue_from, *sequence);
  Sequence* added = sequence.get();
  sequences_.emplace(added->id, std::move(sequence));
  scheduler_.add(added);
  return added->id;
}

// Moves the cache of the agreeing leading tokens from a finished sequence to a new one.
void Engine::take_over(SequenceId from, Sequence& to) {
  Sequence& old = *sequences_.at(from);
  CHECK(!old.running(), "sequence {} still runs", from);
  // At least one token is left to compute: its logits choose the next.
  const int64_t most = std::min<int64_t>(old.cached, static_cast<int64_t>(to.tokens.size()) - 1);
  while (to.cached < most && old.tokens[to.cached] == to.tokens[to.cached]) ++to.cached;
  to.pages = std::move(old.pages);
  old.pages.clear();
  kv_.truncate(to.pages, to.cached);
  release(from);
}

const Sequence& Engine::sequence(SequenceId id) const {
  return *sequences_.at(id);
}

void Engine::release(SequenceId id) {
  const auto found = sequences_.find(id);
  CHECK(found != sequences_.end(), "no sequence {}", id);
  scheduler_.remove(found->second.get());
  kv_.truncate(found->second->pages, 0);
  sequences_.erase(found);
}

}  // namespace shoehorn
