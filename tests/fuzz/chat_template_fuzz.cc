// Any text as a chat template, over a conversation that has every kind of value. Nothing may crash,
// hang or grow without bound; what renders quickly must render the same again.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "formats/chat_template.h"

namespace {

shoehorn::ChatTemplateInput conversation() {
  using Json = nlohmann::ordered_json;
  static const Json kInput = Json::parse(
      R"({
        "messages": [
          {"role": "system", "content": "Be \u00e9 brief. "},
          {"role": "user", "content": [{"type": "text", "text": "a\nb  c"}]},
          {"role": "assistant", "content": null, "reasoning": "so",
           "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"x": [1, 2.5]}}}]},
          {"role": "tool", "content": "<think>x</think>\n\u4f60\u597d"}],
        "tools": [{"type": "function",
                   "function": {"name": "f", "parameters": {"type": "object", "items": 1}}}],
        "variables": {"i": 7, "f": 2.5, "t": true, "n": null, "s": "Hello, World", "l": [3, 1, 2],
                      "d": {"a": 1, "b": [1, {"c": null}]}}})",
      nullptr, false);
  return {.messages = kInput["messages"],
          .tools = kInput["tools"],
          .variables = kInput["variables"],
          .bos_token = "<s>",
          .eos_token = "</s>"};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const shoehorn::Result<shoehorn::ChatTemplate> chat = shoehorn::ChatTemplate::parse(text, "fuzz");
  if (!chat) return 0;
  static const shoehorn::ChatTemplateInput kInput = conversation();
  const auto begin = std::chrono::steady_clock::now();
  const shoehorn::Result<std::string> first = chat->render(kInput);
  const bool slow = std::chrono::steady_clock::now() - begin > std::chrono::milliseconds(100);
  if (!first || slow || text.find("strftime_now") != std::string_view::npos) return 0;
  const shoehorn::Result<std::string> second = chat->render(kInput);
  CHECK(second.ok() && *second == *first, "the second rendering differs");
  return 0;
}
