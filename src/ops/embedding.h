// Embedding: out[i] = dequantize(table row tokens[i]).
#pragma once

#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "ops/cost.h"
#include "ops/gpu.h"
#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace shoehorn {

// table: [V, h]; tokens: [m], each in [0, V) (CHECK); out: [m, h] f32.
void embedding(ThreadPool& pool, const Weight& table, std::span<const int32_t> tokens,
               const Tensor& out);
// tokens: [m] on the card, already checked.
void embedding(Gpu& gpu, const Weight& table, const int32_t* tokens, const Tensor& out);
Cost embedding_cost(const Weight& table, int64_t m);

}  // namespace shoehorn
