// The RoPE part of a model's config: theta and the scaling of the frequencies.
#pragma once

#include "base/result.h"
#include "formats/json_fields.h"
#include "formats/model_config.h"

namespace shoehorn {

// Sets rope_theta and rope_scaling from a config.json, in the older spelling (rope_theta and
// rope_scaling) or that of transformers 5 (rope_parameters). max_position_embeddings must be set.
Result<void> read_rope(const JsonFields& fields, ModelConfig& config);

// The same from GGUF metadata under `prefix` ("llama.").
Result<void> read_rope(const GgufFile& file, std::string_view prefix, ModelConfig& config);

}  // namespace shoehorn
