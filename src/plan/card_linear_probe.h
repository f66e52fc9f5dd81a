// How fast a card multiplies by weights in VRAM, measured with the linear layer itself.
#pragma once

#include <span>
#include <vector>

#include "ops/gpu.h"
#include "plan/machine.h"

namespace shoehorn {

struct CardLinearProbe {
  std::vector<LinearRate> rates;  // by rows, then bytes
  double kernel_s = 0;            // a norm of one row among others
  double flops_per_s = 0;         // of the most rows
};

// Bytes that lie in pairs as small positive halves, so that scales among them are sound, and
// otherwise differ: products of equal numbers take less power, and run faster than real ones.
void fill_like_weights(std::span<std::byte> bytes);

// weights: VRAM filled like weights, some hundred MB of it. Takes half a second and 350 MB more of
// VRAM. Errors: the card.
Result<CardLinearProbe> probe_card_linear(Gpu& gpu, std::span<std::byte> weights);

}  // namespace shoehorn
