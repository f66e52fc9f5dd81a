// Formulas and defaults: transformers, modeling_rope_utils.py
// (https://github.com/huggingface/transformers); GGUF keys: llama.cpp
// (https://github.com/ggml-org/llama.cpp, src/llama-model.cpp).
#include "formats/rope_scaling.h"

#include <cmath>

#include "formats/gguf.h"
#include "formats/quote.h"

namespace shoehorn {
namespace {

using nlohmann::json;

// Yarn's magnitude m(s, a).
double yarn_magnitude(double factor, double multiplier) {
  return factor <= 1 ? 1 : 0.1 * multiplier * std::log(factor) + 1;
}

Result<void> read_linear(const JsonFields& fields, RopeScaling& scaling) {
  TRY(fields.only({"rope_type", "type", "rope_theta", "partial_rotary_factor", "factor",
                   "original_max_position_embeddings"}));
  scaling.type = RopeScalingType::linear;
  scaling.factor = TRY(fields.required_number("factor"));
  return {};
}

Result<void> read_llama3(const JsonFields& fields, RopeScaling& scaling) {
  TRY(fields.only({"rope_type", "type", "rope_theta", "partial_rotary_factor", "factor",
                   "original_max_position_embeddings", "low_freq_factor", "high_freq_factor"}));
  scaling.type = RopeScalingType::llama3;
  scaling.factor = TRY(fields.required_number("factor"));
  scaling.low_freq_factor = TRY(fields.required_number("low_freq_factor"));
  scaling.high_freq_factor = TRY(fields.required_number("high_freq_factor"));
  if (!(scaling.low_freq_factor > 0 && scaling.high_freq_factor > scaling.low_freq_factor)) {
    return fail(
        "{}: low_freq_factor and high_freq_factor: expected 0 < low < high, found {} and {}",
        fields.source(), scaling.low_freq_factor, scaling.high_freq_factor);
  }
  return {};
}

Result<void> read_yarn(const JsonFields& fields, double max_position_embeddings,
                       RopeScaling& scaling) {
  TRY(fields.only({"rope_type", "type", "rope_theta", "partial_rotary_factor", "factor",
                   "original_max_position_embeddings", "attention_factor", "mscale",
                   "mscale_all_dim", "beta_fast", "beta_slow", "truncate", "finetuned"}));
  if (!TRY(fields.boolean_or("truncate", true))) {
    return fields.wrong("truncate", "true, as nothing else is supported");
  }
  scaling.type = RopeScalingType::yarn;
  scaling.factor = TRY(fields.number_or(
      "factor", max_position_embeddings / scaling.original_max_position_embeddings));
  const double mscale = TRY(fields.number_or("mscale", 0));
  const double mscale_all_dim = TRY(fields.number_or("mscale_all_dim", 0));
  const bool both = mscale != 0 && mscale_all_dim != 0;
  const double magnitude =
      both ? yarn_magnitude(scaling.factor, mscale) / yarn_magnitude(scaling.factor, mscale_all_dim)
           : yarn_magnitude(scaling.factor, 1);
  scaling.attention_factor = TRY(fields.number_or("attention_factor", magnitude));
  // Zero means the default, as it does to `or` in the reference.
  const double beta_fast = TRY(fields.number_or("beta_fast", 0));
  const double beta_slow = TRY(fields.number_or("beta_slow", 0));
  if (beta_fast != 0) scaling.beta_fast = beta_fast;
  if (beta_slow != 0) scaling.beta_slow = beta_slow;
  return {};
}

Result<void> check_scaling(const RopeScaling& scaling, std::string_view source) {
  if (!(scaling.factor >= 1 && scaling.factor <= 1e6)) {
    return fail("{}: rope scaling factor: expected 1 to 1e6, found {}", source, scaling.factor);
  }
  const bool has_original =
      scaling.type == RopeScalingType::llama3 || scaling.type == RopeScalingType::yarn;
  if (has_original && !(scaling.original_max_position_embeddings >= 1 &&
                        scaling.original_max_position_embeddings <= 1 << 30)) {
    return fail("{}: original_max_position_embeddings: expected 1 to {}, found {}", source, 1 << 30,
                scaling.original_max_position_embeddings);
  }
  if (!(scaling.beta_slow > 0 && scaling.beta_fast > scaling.beta_slow)) {
    return fail("{}: beta_slow and beta_fast: expected 0 < slow < fast, found {} and {}", source,
                scaling.beta_slow, scaling.beta_fast);
  }
  if (!(scaling.attention_factor > 0 && scaling.attention_factor <= 100)) {
    return fail("{}: attention_factor: expected more than 0 and at most 100, found {}", source,
                scaling.attention_factor);
  }
  return {};
}

Result<void> read_parameters(const JsonFields& fields, ModelConfig& config) {
  if (TRY(fields.number_or("partial_rotary_factor", 1)) != 1) {
    return fields.wrong("partial_rotary_factor", "1, as nothing else is supported");
  }
  const auto positions = static_cast<double>(config.max_position_embeddings);
  RopeScaling& scaling = config.rope_scaling;
  const std::string older = TRY(fields.string_or("type", "default"));
  const std::string type = TRY(fields.string_or("rope_type", older));
  if (type == "default") {
    return fields.only({"rope_type", "type", "rope_theta", "partial_rotary_factor"});
  }
  scaling.original_max_position_embeddings =
      TRY(fields.number_or("original_max_position_embeddings", positions));
  if (type == "linear") {
    TRY(read_linear(fields, scaling));
  } else if (type == "llama3") {
    TRY(read_llama3(fields, scaling));
  } else if (type == "yarn") {
    TRY(read_yarn(fields, positions, scaling));
  } else {
    return fail(
        "{}: rope_type: expected default, linear, llama3 or yarn, which are the supported "
        "ones, found {}",
        fields.source(), quote(type));
  }
  return check_scaling(scaling, fields.source());
}

// A file may state a factor without a type: it is linear then.
Result<RopeScalingType> gguf_scaling_type(const GgufFile& file, const std::string& key) {
  const Result<std::string> type = file.string_or(key, "linear");
  if (!type) return type.error();
  if (*type == "none") return RopeScalingType::none;
  if (*type == "linear") return RopeScalingType::linear;
  if (*type == "yarn") return RopeScalingType::yarn;
  return fail("{}: {}: expected none, linear or yarn, which are the supported ones, found {}",
              file.name(), key, quote(*type));
}

}  // namespace

Result<void> read_rope(const JsonFields& fields, ModelConfig& config) {
  const bool newer = fields.has("rope_parameters");
  if (newer && fields.has("rope_scaling")) {
    return fields.wrong("rope_scaling", "none beside rope_parameters");
  }
  if (fields.has("original_max_position_embeddings")) {
    return fields.wrong("original_max_position_embeddings",
                        "none outside rope_scaling, as this is not supported");
  }
  config.rope_theta = TRY(fields.number_or("rope_theta", config.rope_theta));
  if (!newer && !fields.has("rope_scaling")) return {};
  const JsonFields parameters =
      TRY(fields.required_object(newer ? "rope_parameters" : "rope_scaling"));
  const double theta = TRY(parameters.number_or("rope_theta", config.rope_theta));
  if (theta != config.rope_theta && fields.has("rope_theta")) {
    return parameters.wrong("rope_theta", fmt::format("{} as outside", config.rope_theta));
  }
  config.rope_theta = theta;
  return read_parameters(parameters, config);
}

Result<void> read_rope(const GgufFile& file, std::string_view prefix, ModelConfig& config) {
  const auto key = [&](std::string_view suffix) { return fmt::format("{}{}", prefix, suffix); };
  config.rope_theta = TRY(file.number_or(key("rope.freq_base"), config.rope_theta));
  RopeScaling& scaling = config.rope_scaling;
  const double older = TRY(file.number_or(key("rope.scale_linear"), 0));
  const double factor = TRY(file.number_or(key("rope.scaling.factor"), older));
  const RopeScalingType type = TRY(gguf_scaling_type(file, key("rope.scaling.type")));
  // 0 means none.
  const bool linear = type == RopeScalingType::linear;
  if (type == RopeScalingType::none || factor == 0 || (linear && factor == 1)) return {};
  scaling.factor = factor;
  scaling.type = type;
  if (scaling.type == RopeScalingType::yarn) {
    scaling.original_max_position_embeddings =
        TRY(file.number_or(key("rope.scaling.original_context_length"),
                           static_cast<double>(config.max_position_embeddings)));
    scaling.beta_fast = TRY(file.number_or(key("rope.scaling.yarn_beta_fast"), scaling.beta_fast));
    scaling.beta_slow = TRY(file.number_or(key("rope.scaling.yarn_beta_slow"), scaling.beta_slow));
    scaling.attention_factor = TRY(file.number_or(key("rope.scaling.attn_factor"), 1))
    *yarn_magnitude(scaling.factor, 1);
  }
  if (file.find("rope_freqs.weight") != nullptr) {
    return fail("{}: {}: expected none beside the tensor rope_freqs.weight, found a factor of {}",
                file.name(), key("rope.scaling.factor"), factor);
  }
  return check_scaling(scaling, file.name());
}

}  // namespace shoehorn
