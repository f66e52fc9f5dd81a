// The models that Shoehorn knows by name: what their config.json states, for plans and for
// synthetic weights. A model's own files are read instead wherever there are some.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/model_config.h"

namespace shoehorn {

struct KnownModel {
  std::string name;  // "deepseek-llm-67b"
  ModelConfig config;
  // Of its tokenizer: GGUF's name of the pre-tokenizer, and the tokens that begin and end a text.
  std::string pre_tokenizer;
  int32_t bos_token_id = 0, eos_token_id = 0;
  std::string bos_token, eos_token;
};

std::vector<std::string> known_model_names();

// Errors: no model of that name; the message lists them.
Result<KnownModel> known_model(std::string_view name);

}  // namespace shoehorn
