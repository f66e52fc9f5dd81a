// Any text as config.json and as generation_config.json.

#include <string_view>

#include "formats/model_config.h"

using namespace shoehorn;  // NOLINT: a program of one function

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Result<ModelConfig> config = parse_model_config(text, "config.json");
  if (config) {
    // The sizes multiply without overflow.
    CHECK(config->query_size() > 0 && config->key_value_size() > 0, "{}", config->query_size());
    CHECK(config->vocab_size * config->hidden_size > 0, "{}", config->vocab_size);
    CHECK(config->rope_scaling.factor >= 1, "{}", config->rope_scaling.factor);
  } else {
    CHECK(config.error().message.find('\n') == std::string::npos, "{}", config.error().message);
  }
  const Result<GenerationConfig> generation = parse_generation_config(text, "config.json");
  if (generation) {
    for (const int32_t id : generation->eos_token_ids) CHECK(id >= 0, "{}", id);
  }
  return 0;
}
