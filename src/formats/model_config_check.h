// What every ModelConfig must satisfy, whichever file it came from.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "formats/model_config.h"

namespace shoehorn {

// hidden_size / num_attention_heads. Errors: no positive sizes, or not divisible.
Result<int64_t> default_head_dim(int64_t hidden_size, int64_t num_attention_heads,
                                 std::string_view source);

// Errors: sizes that are not positive, absurdly large, or do not divide; an eps or theta out of
// range. After it, every product of two sizes fits in 64 bits.
Result<void> check_config(const ModelConfig& config, std::string_view source);

}  // namespace shoehorn
