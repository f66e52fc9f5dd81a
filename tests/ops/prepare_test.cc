#include "ops/prepare.h"

#include <gtest/gtest.h>

#include <cstring>

#include "ops/rms_norm.h"
#include "ops/swiglu.h"
#include "tests/ops/every_isa.h"
#include "tests/ops/weight_maker.h"

namespace shoehorn {
namespace {

constexpr int64_t kRows = 5, kColumns = 96;

struct Scratch {
  std::vector<std::byte> bytes;
  std::span<std::byte> span;
  Scratch() : bytes(static_cast<size_t>(activation_scratch_bytes(kRows, kColumns)) + 64) {
    const auto address = reinterpret_cast<uintptr_t>(bytes.data());
    span = std::span(bytes).subspan((64 - address % 64) % 64, bytes.size() - 64);
  }
};

// The same floats, and the same products, which see the rounded rows.
void expect_same(ThreadPool& pool, const ActivationRows& a, const ActivationRows& b) {
  const OwnedWeight owned = make_weight(
      {Storage::grouped, 4, 32, ScaleEncoding::f16, CodeMeaning::symmetric}, 32, kColumns);
  std::vector<float> of_a(kRows * 32), of_b(of_a.size());
  linear(pool, a,
         {{.weight = &owned.weight, .output = Tensor::matrix(of_a.data(), kRows, int64_t{32})}});
  linear(pool, b,
         {{.weight = &owned.weight, .output = Tensor::matrix(of_b.data(), kRows, int64_t{32})}});
  EXPECT_TRUE(same_bits(of_a, of_b));
  EXPECT_EQ(a.rounded(), b.rounded());
  for (int64_t i = 0; i < kRows; ++i) {
    EXPECT_EQ(std::memcmp(a.values.row<float>(i), b.values.row<float>(i), kColumns * sizeof(float)),
              0);
  }
}

// What the two ops give one after the other, in both precisions.
TEST(Prepare, IsTheOpAndThenTheRounding) {
  Random random(41);
  std::vector<float> x = random_floats(random, kRows * kColumns, -2.0f, 2.0f);
  std::vector<float> up = random_floats(random, kRows * kColumns, -2.0f, 2.0f);
  const std::vector<float> weight = random_floats(random, kColumns, 0.5f, 1.5f);
  std::vector<float> together(x.size()), apart(x.size());
  const auto matrix = [](std::vector<float>& values) {
    return Tensor::matrix(values.data(), kRows, kColumns);
  };
  ThreadPool pool(2);
  for (const Precision precision : {Precision::fast, Precision::full}) {
    const Scratch one, two;
    rms_norm(pool, matrix(x), weight.data(), 1e-5f, matrix(apart));
    expect_same(pool,
                norm_and_prepare(pool, matrix(x), {.weight = weight.data(), .epsilon = 1e-5f},
                                 matrix(together), one.span, precision),
                prepare_activations(pool, matrix(apart), two.span, precision));
    EXPECT_EQ(together, apart);
    swiglu(pool, matrix(x), matrix(up), matrix(apart));
    together = x;  // out may be gate
    expect_same(pool,
                swiglu_and_prepare(pool, matrix(together), matrix(up), matrix(together), one.span,
                                   precision),
                prepare_activations(pool, matrix(apart), two.span, precision));
    EXPECT_EQ(together, apart);
  }
}

}  // namespace
}  // namespace shoehorn
