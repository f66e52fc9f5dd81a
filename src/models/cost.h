// What a pass over a model costs, summed from its ops' own cost functions.
#pragma once

#include <cstdint>

#include "formats/model_config.h"
#include "models/layout.h"
#include "ops/cost.h"
#include "tensor/dtype.h"

namespace shoehorn {

// One step of `sequences` sequences that each compute `rows_each` rows after `depth` cached tokens,
// logits for the last row of each. kv_dtype: the cache's.
struct StepShape {
  int64_t sequences = 1;
  int64_t rows_each = 1;
  int64_t depth = 0;
  DType kv_dtype = DType::f16;
};
Cost step_cost(const ModelConfig& config, const ModelLayout& layout, const StepShape& shape);

// Parameters of a model, its padding not counted.
int64_t parameter_count(const ModelLayout& layout);

}  // namespace shoehorn
