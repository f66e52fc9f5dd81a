// Chat templates: the subset of Jinja that model files use, rendered as transformers'
// apply_chat_template does (trim_blocks, lstrip_blocks, no undefined errors on attribute reads,
// raise_exception, strftime_now, tojson).
//
//   ChatTemplate chat = TRY(ChatTemplate::parse(text, "tokenizer_config.json"));
//   std::string prompt = TRY(chat.render({.messages = messages, .add_generation_prompt = true,
//                                         .bos_token = "<s>"}));
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace shoehorn {

// Values as the OpenAI API gives them; key order is kept, as templates print objects with tojson.
struct ChatTemplateInput {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();  // [{role, content, ...}]
  nlohmann::ordered_json tools;  // array of tool schemas, or null
  nlohmann::ordered_json variables =
      nlohmann::ordered_json::object();  // further names a template may read
  bool add_generation_prompt = true;
  std::string bos_token;
  std::string eos_token;
};

class ChatTemplate {
 public:
  // Errors name `source`, the line, what was expected and found; unsupported constructs by name.
  static Result<ChatTemplate> parse(std::string_view text, std::string_view source);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // Errors: raise_exception of the template (its message), type errors, more than 16 MiB of output
  // or 10^7 steps.
  Result<std::string> render(const ChatTemplateInput& input) const;

 private:
  struct Program;
  explicit ChatTemplate(std::unique_ptr<Program> program);
  std::unique_ptr<Program> program_;
};

}  // namespace shoehorn
