// Soft-max and the reductions that sampling needs, over one row of logits.
#pragma once

#include <cstdint>
#include <span>

#include "ops/cost.h"

namespace shoehorn {

// out_i = exp((x_i - max) / temperature) / sum; temperature > 0; out may be x. Minus infinity gives
// 0.
void softmax(std::span<const float> x, float temperature, std::span<float> out);

// log(sum(exp(x))), accumulated in double.
double log_sum_exp(std::span<const float> x);

// Index of the largest value, the lowest index on a tie. REQUIRES: not empty.
int32_t argmax(std::span<const float> x);

Cost softmax_cost(int64_t n);

}  // namespace shoehorn
