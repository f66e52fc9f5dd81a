// Choosing the next token from a row of logits: greedy, or drawn after top-k, top-p and min-p.
//
// Probabilities are whole numbers: a token's weight is 2^40 times its probability relative to the
// likeliest, computed from the logits by the integer arithmetic below. Sums of whole numbers do not
// depend on their order, so every processor and every number of threads chooses the same token
// from the same logits.
//
//   likelier    larger logit (to within 2^-24 of a factor of two), then the lower id
//   top_k       keeps the k likeliest
//   top_p       keeps the fewest of those, likeliest first, that have top_p of their weight
//   min_p       keeps those of at least min_p times the largest weight (before the others)
//   draw        walks what is left in the order of ids
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "ops/gpu.h"
#include "tensor/tensor.h"

namespace shoehorn {

// How the token of one row is chosen.
struct Choice {
  float scale = 0;            // log2(e) / temperature; 0: greedy
  double top_p = 1;           // in (0, 1]
  int32_t top_k = 0;          // 0: all
  uint64_t least_weight = 0;  // min_p * weights::kOne
  uint64_t seed = 0;
  uint64_t draw = 0;  // which of the seed's random numbers is used

  bool operator==(const Choice&) const = default;
};

namespace weights {

inline constexpr uint64_t kOne = uint64_t{1} << 40;
inline constexpr uint32_t kStepsPerOctave = 1u << 24;
// Tokens less likely than 2^-40 of the likeliest cannot change a draw noticeably.
inline constexpr uint32_t kMostSteps = 40 * kStepsPerOctave - 1;
inline constexpr uint32_t kNever = UINT32_MAX;

// 2^(-i / 256), times 2^31.
struct Powers {
  std::array<uint32_t, 256> values = {};
  constexpr Powers() {
    double power = 2147483648.0;
    for (uint32_t& value : values) {
      value = static_cast<uint32_t>(power + 0.5);
      power *= 0.99729605608547012625765991384792;  // 2^(-1 / 256)
    }
  }
};
inline constexpr Powers kPowers;

// How far below the top a logit is, in steps of 2^-24 octaves; kNever: out of reach, or not a
// number.
constexpr uint32_t steps_below(float top, float logit, float scale) {
  const float octaves = (top - logit) * scale;
  if (!(octaves < 40.0f)) return kNever;
  return static_cast<uint32_t>(octaves * static_cast<float>(kStepsPerOctave));
}

// 2^40 * 2^(-steps / 2^24), to within 2^-28 of itself or 1. `powers`: kPowers.values.
constexpr uint64_t weight_of(uint32_t steps, const uint32_t* powers) {
  const uint64_t ln2 = 0xB17217F7;                                   // times 2^32
  const uint64_t y = (uint64_t{steps & 0xFFFF} << 8) * ln2 >> 32;    // ln 2 * the rest, times 2^32
  const uint64_t rest = (uint64_t{1} << 32) - y + (y * y >> 33);     // e^-y: y^3 / 6 < 2^-28
  const uint64_t mantissa = powers[steps >> 16 & 255] * rest >> 32;  // times 2^31
  return mantissa << 9 >> (steps >> 24);
}

// Of a total weight, what top_p asks for.
constexpr uint64_t share_of(uint64_t total, double top_p) {
  const double share = static_cast<double>(total) * top_p;
  const auto whole = static_cast<uint64_t>(share);
  return static_cast<double>(whole) < share ? whole + 1 : whole;
}

// floor(random * total / 2^64), without 128-bit numbers.
constexpr uint64_t fraction_of(uint64_t random, uint64_t total) {
  const uint64_t a = random >> 32, b = random & UINT32_MAX, c = total >> 32, d = total & UINT32_MAX;
  const uint64_t middle = (b * d >> 32) + (a * d & UINT32_MAX) + (b * c & UINT32_MAX);
  return a * c + (a * d >> 32) + (b * c >> 32) + (middle >> 32);
}

}  // namespace weights

// A token and how far it is below the likeliest.
struct Candidate {
  uint32_t steps;
  int32_t token;
  bool operator<(const Candidate& other) const {
    return steps != other.steps ? steps < other.steps : token < other.token;
  }
};

// logits: [V], at least one. Where all are minus infinity or NaN, token 0; where one is infinity,
// the first such. scratch: emptied and filled; up to V candidates.
int32_t choose(std::span<const float> logits, const Choice& choice,
               std::vector<Candidate>& scratch);

// On a card; all pointers are to memory that it reaches.
struct GpuChoosing {
  const int32_t* masked = nullptr;  // [masked_count]: tokens that are never chosen
  int64_t masked_count = 0;
  Choice* choices = nullptr;       // [m]; `draw` is counted up
  int32_t* tokens = nullptr;       // [m], chosen
  int32_t* sent_tokens = nullptr;  // [2, m]: the same, at [draw % 2] (before counting); or null
};
// logits: [m, V] f32, overwritten where masked.
void choose(Gpu& gpu, const Tensor& logits, const GpuChoosing& choosing);

}  // namespace shoehorn
