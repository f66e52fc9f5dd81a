// Small operations between layers, on a card.
#pragma once

#include "ops/attention.h"
#include "ops/gpu.h"
#include "tensor/tensor.h"

namespace shoehorn {

// x += y; [m, h] f32, rows may be strided.
void add_rows(Gpu& gpu, const Tensor& x, const Tensor& y);

// out[i] = x[rows[i]]; rows: [count] on the card; out: [count, h].
void gather_rows(Gpu& gpu, const Tensor& x, const int32_t* rows, const Tensor& out);

// Each of m sequences, of one row in this step, is a token further in the next.
// spans, positions: [m] on the card.
void next_tokens(Gpu& gpu, AttentionSpan* spans, int32_t* positions, int64_t m);

}  // namespace shoehorn
