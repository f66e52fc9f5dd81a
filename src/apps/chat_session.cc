#include "apps/chat_session.h"

#include <algorithm>

#include "engine/text_stream.h"

namespace shoehorn {
namespace {

nlohmann::ordered_json message(std::string_view role, std::string_view content) {
  return {{"role", role}, {"content", content}};
}

std::string token_text(const Tokenizer& tokenizer, int32_t id) {
  return id < 0 ? "" : std::string(tokenizer.token_bytes(id));
}

}  // namespace

ChatSession::ChatSession(OpenedModel& model, ChatOptions options)
    : model_(model), options_(std::move(options)) {
  reset();
}

void ChatSession::reset() {
  messages_ = nlohmann::ordered_json::array();
  if (!options_.system.empty()) messages_.push_back(message("system", options_.system));
  if (last_sequence_) model_.engine->release(*last_sequence_);
  last_sequence_.reset();
}

Result<std::string> ChatSession::render() const {
  const Tokenizer& tokenizer = *model_.tokenizer;
  return model_.chat_template->render(
      {.messages = messages_,
       .add_generation_prompt = true,
       .bos_token = token_text(tokenizer, tokenizer.data().bos_token_id),
       .eos_token = token_text(tokenizer, tokenizer.data().eos_token_id)});
}

Result<std::vector<int32_t>> ChatSession::encode_prompt(std::string_view text) const {
  const Tokenizer& tokenizer = *model_.tokenizer;
  const bool add_bos = tokenizer.data().add_bos_token;
  if (options_.raw || !model_.chat_template) return tokenizer.encode(text, {.add_bos = add_bos});
  const std::string prompt = TRY(render());
  const std::string bos = token_text(tokenizer, tokenizer.data().bos_token_id);
  const bool has_bos = !bos.empty() && prompt.starts_with(bos);
  return tokenizer.encode(prompt, {.parse_special = true, .add_bos = add_bos && !has_bos});
}

Result<Answer> ChatSession::ask(std::string_view text,
                                const std::function<bool(std::string_view)>& on_text) {
  messages_.push_back(message("user", text));
  const auto forget_question = [&] { messages_.erase(messages_.size() - 1); };
  const Result<std::vector<int32_t>> prompt = encode_prompt(text);
  if (!prompt) return forget_question(), prompt.error();

  Engine& engine = *model_.engine;
  const int64_t room = engine.options().max_context - static_cast<int64_t>(prompt->size());
  if (room < 1) {
    forget_question();
    return fail(
        "the conversation has {} tokens, more than the context of {}: start a new one, or "
        "give --context",
        prompt->size(), engine.options().max_context);
  }
  Answer answer;
  TextStream stream(*model_.tokenizer, options_.stop_strings);
  const auto show = [&](const std::string& piece) {
    answer.text += piece;
    return piece.empty() || on_text(piece);
  };
  Request request;
  request.prompt = *prompt;
  request.max_new_tokens =
      options_.max_new_tokens > 0 ? std::min(options_.max_new_tokens, room) : room;
  request.sampling = options_.sampling;
  request.stop_token_ids = stop_token_ids(model_);
  request.on_token = [&](int32_t token) { return show(stream.next(token)) && !stream.stopped(); };

  const Result<SequenceId> id = engine.submit(std::move(request), last_sequence_);
  if (!id) return forget_question(), id.error();
  last_sequence_ = *id;
  while (!engine.idle()) {
    const Result<void> step = engine.step();
    if (!step) return reset(), step.error();
  }
  const Sequence& sequence = engine.sequence(*id);
  show(stream.finish());
  answer.finish = sequence.finish;
  answer.stop_string = stream.stopped();
  answer.statistics = sequence.statistics;
  answer.context_tokens = sequence.cached;
  messages_.push_back(message("assistant", answer.text));
  return answer;
}

}  // namespace shoehorn
