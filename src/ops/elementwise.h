// Small operations between layers, on a card.
#pragma once

#include "ops/gpu.h"
#include "tensor/tensor.h"

namespace shoehorn {

// x += y; [m, h] f32, rows may be strided.
void add_rows(Gpu& gpu, const Tensor& x, const Tensor& y);

// out[i] = x[rows[i]]; rows: [count] on the card; out: [count, h].
void gather_rows(Gpu& gpu, const Tensor& x, const int32_t* rows, const Tensor& out);

}  // namespace shoehorn
