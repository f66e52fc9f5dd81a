#include "ops/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/ops/attention_reference.h"
#include "tests/ops/every_isa.h"

namespace shoehorn {
namespace {

std::vector<float> run(AttentionProblem& problem, int threads,
                       const std::vector<AttentionSpan>& spans) {
  ThreadPool pool(threads);
  int64_t longest = 0;
  for (const AttentionSpan& span : spans) {
    longest = std::max(longest, span.first_position + span.row_count);
  }
  const int64_t scratch_bytes = attention_scratch_bytes(threads, problem.m, problem.shape.heads,
                                                        problem.shape.head_dim, longest);
  std::vector<float> scratch(static_cast<size_t>(scratch_bytes / 4 + 16), std::nanf(""));
  const auto address = reinterpret_cast<uintptr_t>(scratch.data());
  auto* aligned = reinterpret_cast<std::byte*>((address + 63) / 64 * 64);
  std::vector<float> out(problem.q.size(), std::nanf(""));
  attention(pool, problem.layer,
            {.q = problem.heads_of(problem.q, problem.shape.heads),
             .out = problem.heads_of(out, problem.shape.heads),
             .scale = problem.scale},
            spans, {aligned, static_cast<size_t>(scratch_bytes)});
  return out;
}

// Float rounding: a score is a sum of head_dim products of at most 0.3, spread over lanes or not; a
// soft-max weight is off by as much, and the weights' sum by the rounding of up to a chunk's sum
// and one step a chunk. Errors of a sum of n terms grow like sqrt(n).
double tolerance(const AttentionShape& shape) {
  const double d = static_cast<double>(shape.head_dim);
  const double score_error = std::sqrt(d) * 0.3 * std::sqrt(d);
  return 0x1p-24 * 4 * (score_error + std::sqrt(256.0) + 20);
}

TEST(Attention, MatchesDouble) {
  for (const AttentionShape& shape : attention_shapes()) {
    AttentionProblem problem(shape);
    SCOPED_TRACE(shape.name());
    const std::vector<double> expected = attention_reference(problem);
    on_every_isa([&] {
      const std::vector<float> out = run(problem, 2, problem.spans);
      double worst = 0;
      for (size_t i = 0; i < out.size(); ++i) {
        ASSERT_TRUE(std::isfinite(out[i])) << i;
        worst = std::max(worst, std::abs(static_cast<double>(out[i]) - expected[i]));
      }
      EXPECT_LE(worst, tolerance(shape));
    });
  }
}

// A score far above the others, in a later or an earlier chunk than the row's own; float exp of a
// plain difference would overflow.
TEST(Attention, ExtremeScores) {
  for (const int64_t peak : {3, 255, 256, 700}) {
    AttentionProblem problem({2, 1, 16, DType::f32, 16, {{700, 1}}});
    for (const int64_t i : {0, 1, 15}) {
      auto* page = reinterpret_cast<float*>(problem.layer.data +
                                            problem.tables[0][static_cast<size_t>(peak / 16)] *
                                                problem.layer.page_stride_bytes);
      page[peak % 16 * 16 + i] = problem.q[static_cast<size_t>(i)] * 3000;
    }
    const std::vector<double> expected = attention_reference(problem);
    on_every_isa([&] {
      const std::vector<float> out = run(problem, 4, problem.spans);
      for (size_t i = 0; i < out.size(); ++i) EXPECT_NEAR(out[i], expected[i], 1e-4) << i;
    });
  }
}

TEST(Attention, SameBitsForAnyThreadCount) {
  for (const AttentionShape& shape : attention_shapes()) {
    AttentionProblem problem(shape);
    SCOPED_TRACE(shape.name());
    on_every_isa([&] {
      const std::vector<float> one = run(problem, 1, problem.spans);
      for (const int threads : {2, 8}) {
        EXPECT_TRUE(same_bits(run(problem, threads, problem.spans), one)) << threads;
      }
    });
  }
}

// Each row in a call of its own (as decode would), and all rows at once (as prefill does).
TEST(Attention, SameBitsForAnyBatch) {
  for (const AttentionShape& shape : attention_shapes()) {
    AttentionProblem problem(shape);
    SCOPED_TRACE(shape.name());
    on_every_isa([&] {
      const std::vector<float> together = run(problem, 2, problem.spans);
      const size_t row_numbers = problem.q.size() / static_cast<size_t>(problem.m);
      for (const AttentionSpan& span : problem.spans) {
        const int64_t step = std::max<int64_t>(1, span.row_count / 5);
        for (int64_t r = 0; r < span.row_count; r += step) {
          const AttentionSpan row = {span.first_row + r, 1, span.first_position + r, span.pages};
          const std::vector<float> alone = run(problem, 3, {row});
          const size_t first = static_cast<size_t>(row.first_row) * row_numbers;
          EXPECT_EQ(std::memcmp(&alone[first], &together[first], row_numbers * sizeof(float)), 0)
              << "row " << r;
        }
      }
    });
  }
}

TEST(KvAppend, RoundsToNearestEvenAndTouchesNothingElse) {
  const std::vector<float> interesting = {
      0.0f,    -0.0f,  1.0f,     0.1f,  65504.0f, 65519.0f, 65520.0f,    6.0e-8f,
      2.9e-8f, 1e-40f, -3.3e38f, 1e30f, 2049.0f,  -2051.0f, 1.00390625f, 1.01171875f};
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    for (const int64_t d : {3, 16, 40}) {
      on_every_isa([&] {
        AttentionProblem problem({2, 2, d, dtype, 4, {{0, 11}}});
        std::vector<float> k(static_cast<size_t>(11 * 2 * d)), v(k.size());
        for (size_t i = 0; i < k.size(); ++i) {
          k[i] = interesting[i % interesting.size()];
          v[i] = -interesting[(i * 7 + 3) % interesting.size()];
        }
        const AttentionSpan span = {2, 5, 6, problem.tables[0].data()};
        const std::vector<std::byte> before = problem.cache;
        ThreadPool pool(2);
        kv_append(pool, problem.layer, problem.heads_of(k, 2), problem.heads_of(v, 2), {&span, 1});
        int64_t changed_slots = 0;
        for (int64_t token = 0; token < 11; ++token) {
          for (int64_t head = 0; head < 4; ++head) {
            for (int64_t i = 0; i < d; ++i) {
              const auto now = static_cast<double>(cached(problem.layer, span, token, head, i));
              if (token < 6) continue;
              const std::vector<float>& from = head < 2 ? k : v;
              const float value = from[static_cast<size_t>(((token - 4) * 2 + head % 2) * d + i)];
              const float expected = dtype == DType::f32   ? value
                                     : dtype == DType::f16 ? f16_to_float(float_to_f16(value))
                                                           : bf16_to_float(float_to_bf16(value));
              ASSERT_EQ(now, static_cast<double>(expected)) << value;
              ASSERT_EQ(std::signbit(now), std::signbit(expected)) << value;
              ++changed_slots;
            }
          }
        }
        EXPECT_EQ(changed_slots, 5 * 4 * d);
        // Restore the written tokens; all else must be as before.
        for (int64_t token = 6; token < 11; ++token) {
          for (int64_t head = 0; head < 4; ++head) {
            const int64_t bytes = d * size_bytes(dtype);
            const int64_t at = problem.tables[0][static_cast<size_t>(token / 4)] *
                                   problem.layer.page_stride_bytes +
                               (head * 4 + token % 4) * bytes;
            const auto base = problem.layer.data - problem.cache.data();
            std::copy_n(before.data() + base + at, bytes, problem.cache.data() + base + at);
          }
        }
        EXPECT_EQ(problem.cache, before);
      });
    }
  }
}

// q and k turned by the same angles, then k and v written.
TEST(RopeAndAppend, IsRopeAndThenAppend) {
  constexpr int64_t kDim = 16, kRows = 7;
  Random random(5);
  const AttentionShape shape = {3, 1, kDim, DType::f16, 4, {{2, 5}, {0, 2}}};
  AttentionProblem together(shape), apart(shape);
  std::vector<float> q = random_floats(random, kRows * 3 * kDim, -1.0f, 1.0f), q_apart = q;
  std::vector<float> k = random_floats(random, kRows * kDim, -1.0f, 1.0f), k_apart = k;
  std::vector<float> v = random_floats(random, kRows * kDim, -1.0f, 1.0f);
  std::vector<float> cosines = random_floats(random, kRows * kDim / 2, -1.0f, 1.0f);
  std::vector<float> sines = random_floats(random, kRows * kDim / 2, -1.0f, 1.0f);
  const Tensor c = Tensor::matrix(cosines.data(), kRows, kDim / 2);
  const Tensor s = Tensor::matrix(sines.data(), kRows, kDim / 2);
  ThreadPool pool(2);
  for (const RopePairing pairing : {RopePairing::half, RopePairing::interleaved}) {
    rope_and_append(pool, together.layer,
                    {.q = together.heads_of(q, 3),
                     .k = together.heads_of(k, 1),
                     .v = together.heads_of(v, 1),
                     .cosines = c,
                     .sines = s,
                     .pairing = pairing},
                    together.spans);
    rope(pool, apart.heads_of(q_apart, 3), c, s, pairing);
    rope(pool, apart.heads_of(k_apart, 1), c, s, pairing);
    kv_append(pool, apart.layer, apart.heads_of(k_apart, 1), apart.heads_of(v, 1), apart.spans);
    EXPECT_TRUE(same_bits(q, q_apart));
    EXPECT_TRUE(same_bits(k, k_apart));
    EXPECT_EQ(std::memcmp(together.layer.data, apart.layer.data, together.cache.size() - 64), 0);
  }
}

TEST(AttentionCost, CountsTokensOncePerGroup) {
  const AttentionProblem decode({32, 8, 128, DType::f16, 16, {{999, 1}}});
  const Cost one = attention_cost(decode.layer, 32, decode.spans);
  EXPECT_EQ(one.bytes, 1000 * 8 * 128 * 2 * 2 + 2 * 32 * 128 * 4);
  EXPECT_EQ(one.flops, 1000.0 * 32 * 128 * 4);
  const AttentionProblem prefill({2, 1, 64, DType::f32, 16, {{0, 4}, {10, 2}}});
  const Cost two = attention_cost(prefill.layer, 2, prefill.spans);
  EXPECT_EQ(two.flops, (1 + 2 + 3 + 4 + 11 + 12) * 2 * 64 * 4);
  EXPECT_EQ(two.bytes, (4 + 12) * 64 * 2 * 4 + 6 * 2 * 2 * 64 * 4);
}

TEST(AttentionDeathTest, ScratchTooSmall) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  AttentionProblem problem({2, 1, 16, DType::f32, 16, {{10, 1}}});
  std::vector<float> out(problem.q.size());
  std::vector<std::byte> scratch(64);
  ThreadPool pool(1);
  EXPECT_DEATH(attention(pool, problem.layer,
                         {.q = problem.heads_of(problem.q, 2), .out = problem.heads_of(out, 2)},
                         problem.spans, scratch),
               "scratch of 64 bytes");
}

}  // namespace
}  // namespace shoehorn
