// Rotary position embedding (Su et al. 2021), both pairings, every scaling of the supported models.
//
// n rotated dimensions, pair i = 0..n/2-1 turns by position * frequency[i], cos and sin times
// `magnitude`:
//   half         (x_i, x_{i+n/2})       Hugging Face llama, qwen2; GGUF qwen2
//   interleaved  (x_{2i}, x_{2i+1})     GGUF llama
// Angles are computed in double and rounded once to float, so position 10^6 is as exact as
// position 1.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "ops/cost.h"
#include "ops/gpu.h"
#include "tensor/tensor.h"

namespace shoehorn {

enum class RopePairing : uint8_t { half, interleaved };

// Frequencies f_i and the factor on cos and sin.
struct RopeTable {
  std::vector<double> frequencies;  // [n / 2]
  double magnitude = 1.0;
  int64_t dimensions() const { return static_cast<int64_t>(frequencies.size()) * 2; }
};

// f_i = theta^(-2i/n), unscaled; the scalings below change such a table in place. Formulas: the
// models' reference code (transformers modeling_rope_utils.py); llama3: Llama 3.1; YaRN: Peng et
// al. 2023.
RopeTable rope_table(int64_t dimensions, double theta);
void scale_linear(RopeTable& table, double factor);
void scale_by_divisors(RopeTable& table,
                       std::span<const float> divisors);  // f_i / divisors[i], [n / 2]

struct Llama3Scaling {
  double factor = 8, low_freq_factor = 1, high_freq_factor = 4;
  double original_max_position_embeddings = 8192;
};
void scale_llama3(RopeTable& table, const Llama3Scaling& scaling);

struct YarnScaling {
  double factor = 1, beta_fast = 32, beta_slow = 1;
  double original_max_position_embeddings = 4096;
  double theta = 10000;
  double magnitude = 1;  // on cos and sin: 0.1 ln(factor) + 1 by default, m/m_all_dim in DeepSeek
};
void scale_yarn(RopeTable& table, const YarnScaling& scaling);

// The angles of a step, computed once and shared by all its layers and heads: cosines, sines
// [m, n/2] f32, each times `magnitude`; positions: [m], each >= 0.
void rope_angles(ThreadPool& pool, std::span<const int32_t> positions, const RopeTable& table,
                 const Tensor& cosines, const Tensor& sines);

// On a card: frequencies [n/2] as doubles, positions [m], both on the card.
void rope_angles(Gpu& gpu, const int32_t* positions, const double* frequencies, double magnitude,
                 const Tensor& cosines, const Tensor& sines);

// In place. x: [m, heads, head_dim] f32, n <= head_dim, the first n of each head are rotated; rows
// may be strided, heads of a row are contiguous. cosines, sines: [m, n/2] as rope_angles wrote
// them.
void rope(ThreadPool& pool, const Tensor& x, const Tensor& cosines, const Tensor& sines,
          RopePairing pairing);
Cost rope_cost(int64_t m, int64_t heads, int64_t head_dim);

}  // namespace shoehorn
