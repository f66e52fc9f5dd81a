// ChatSession: one conversation with a model, its history and its cache kept from turn to turn.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/open_model.h"
#include "engine/sampler.h"

namespace shoehorn {

struct ChatOptions {
  SamplingParameters sampling;
  std::vector<std::string> stop_strings;
  int64_t max_new_tokens = 0;  // 0: as many as the context holds
  std::string system;          // "": none
  bool raw = false;            // the text as it is, without the chat template
};

struct Answer {
  std::string text;
  FinishReason finish = FinishReason::none;
  bool stop_string = false;
  SequenceStatistics statistics;
  int64_t context_tokens = 0;  // in the cache at the end
};

class ChatSession {
 public:
  ChatSession(OpenedModel& model, ChatOptions options);

  // Answers `text`; on_text gets each piece as it becomes certain and returns false to end the
  // answer there. Errors: the conversation does not fit the context, the template refuses the
  // messages, a step failed. After an error the history is as before.
  Result<Answer> ask(std::string_view text, const std::function<bool(std::string_view)>& on_text);

  void reset();  // forgets the conversation

 private:
  Result<std::vector<int32_t>> encode_prompt(std::string_view text) const;
  Result<std::string> render() const;

  OpenedModel& model_;
  ChatOptions options_;
  nlohmann::ordered_json messages_ = nlohmann::ordered_json::array();
  std::optional<SequenceId> last_sequence_;
};

}  // namespace shoehorn
