// A decoding step in one pass gives the bits that its three parts give one after the other.
#include "ops/attend.h"

#include <gtest/gtest.h>

#include "ops/cuda/linear_parts.h"
#include "tests/ops/cuda/attention_card.h"
#include "tests/ops/every_isa.h"

namespace shoehorn {
namespace {

using AttendCuda = CardTest;

std::vector<float> random_values(Random& random, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& x : values) x = random.uniform(-2.0f, 2.0f);
  return values;
}

// What a step leaves behind.
struct Left {
  std::vector<std::byte> cache, codes;
  std::vector<float> out, scales, block_sums, half_sums;
  bool operator==(const Left&) const = default;
};

class Problem {
 public:
  Problem(const AttentionShape& shape, int64_t pairs, RopePairing pairing)
      : problem_(shape), pairs_(pairs), pairing_(pairing) {
    Random random(static_cast<uint64_t>(pairs + 7));
    const int64_t kv = shape.kv_heads * shape.head_dim;
    k_ = random_values(random, problem_.m * kv);
    v_ = random_values(random, problem_.m * kv);
    cosines_ = random_values(random, problem_.m * pairs);
    sines_ = random_values(random, problem_.m * pairs);
  }

  template <typename Attend>
  Left run(Gpu& gpu, const Attend& attend) const {
    const AttentionShape& shape = problem_.shape;
    AttentionOnCard card(problem_);
    const SpansOnCard spans(problem_.spans, shape.page_tokens);
    const int64_t m = problem_.m, width = shape.heads * shape.head_dim;
    const OnCard<float> k(k_), v(v_), cosines(cosines_), sines(sines_);
    const OnCard<float> out(static_cast<size_t>(m * width));
    const OnCard<std::byte> attention(static_cast<size_t>(
        gpu_attention_scratch_bytes(m, shape.heads, shape.head_dim, spans.view().max_context)));
    const OnCard<std::byte> activations(
        static_cast<size_t>(gpu_activation_scratch_bytes(m, width)));
    const auto kv_heads = [&](const OnCard<float>& values) {
      return Tensor{values.data(),
                    DType::f32,
                    3,
                    {m, shape.kv_heads, shape.head_dim},
                    {shape.kv_heads * shape.head_dim, shape.head_dim, 1}};
    };
    const AttendArguments arguments = {
        .rope = {.q = card.heads_of(card.q(), m, width),
                 .k = kv_heads(k),
                 .v = kv_heads(v),
                 .cosines = Tensor::matrix(cosines.data(), m, pairs_),
                 .sines = Tensor::matrix(sines.data(), m, pairs_),
                 .pairing = pairing_},
        .out = card.heads_of(out, m, width),
        .scale = 0.3f};
    const GpuActivationRows rows = attend(gpu, card.layer(), arguments, spans.view(),
                                          AttendScratch{attention.bytes(), activations.bytes()});
    EXPECT_TRUE(gpu.wait().ok());
    return {.cache = card.cache(),
            .codes = read<std::byte>(rows.codes, width * m),
            .out = out.read(),
            .scales = read_rows(rows.scales, width / 32),
            .block_sums = read_rows(rows.block_sums, width / 32),
            .half_sums = read_rows(rows.half_sums, width / 16)};
  }

 private:
  template <typename T>
  static std::vector<T> read(const void* from, int64_t count) {
    std::vector<T> values(static_cast<size_t>(count));
    CUDA_CHECK(cudaMemcpy(values.data(), from, values.size() * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }
  // [blocks, m] of [blocks, padded rows].
  std::vector<float> read_rows(const float* from, int64_t blocks) const {
    const int64_t padded = padded_few_rows(problem_.m);
    const std::vector<float> all = read<float>(from, blocks * padded);
    std::vector<float> rows;
    for (int64_t b = 0; b < blocks; ++b) {
      rows.insert(rows.end(), all.begin() + b * padded, all.begin() + b * padded + problem_.m);
    }
    return rows;
  }

  AttentionProblem problem_;
  int64_t pairs_;
  RopePairing pairing_;
  std::vector<float> k_, v_, cosines_, sines_;
};

GpuActivationRows one_by_one(Gpu& gpu, const KvLayer& layer, const AttendArguments& arguments,
                             const GpuSpans& spans, const AttendScratch& scratch) {
  rope_and_append(gpu, layer, arguments.rope, spans);
  attention(gpu, layer, arguments.attention(), spans, scratch.attention);
  return prepare_activations(gpu, joined_heads(arguments.out), scratch.activations,
                             Precision::fast);
}

void expect_the_same(Gpu& gpu, const Problem& problem) {
  const Left parts = problem.run(gpu, one_by_one);
  const Left at_once = problem.run(
      gpu, [](auto&&... arguments) { return attend_and_prepare(arguments..., Precision::fast); });
  EXPECT_TRUE(at_once.cache == parts.cache);
  EXPECT_TRUE(same_bits(at_once.out, parts.out));
  EXPECT_TRUE(at_once.codes == parts.codes);
  EXPECT_TRUE(same_bits(at_once.scales, parts.scales));
  EXPECT_TRUE(same_bits(at_once.block_sums, parts.block_sums));
  EXPECT_TRUE(same_bits(at_once.half_sums, parts.half_sums));
}

TEST_F(AttendCuda, OnePassIsItsParts) {
  const std::vector<SpanShape> many = {{0, 1},    {1, 1},    {14, 1},  {15, 1},  {16, 1},
                                       {63, 1},   {127, 1},  {128, 1}, {129, 1}, {500, 1},
                                       {2047, 1}, {2048, 1}, {2500, 1}};
  const std::pair<int64_t, int64_t> heads_of_both[] = {{1, 1}, {9, 3}, {32, 32}, {64, 8}, {22, 2}};
  for (const auto& [heads, kv_heads] : heads_of_both) {
    for (const int64_t d : {64, 128}) {
      for (const DType dtype : {DType::f16, DType::bf16}) {
        for (const std::vector<SpanShape>& spans : {many, {{77, 1}}, {{128, 1}}, {{0, 1}}}) {
          const AttentionShape shape = {heads, kv_heads, d, dtype, 16, spans};
          SCOPED_TRACE(shape.name());
          expect_the_same(*gpu, Problem(shape, d / 2, RopePairing::half));
          // A part of the head is turned, and other numbers make a pair.
          expect_the_same(*gpu, Problem(shape, d / 4, RopePairing::interleaved));
        }
      }
    }
  }
}

// Several rows of a sequence, or a cache of floats: the parts, by the same call.
TEST_F(AttendCuda, StepsThatDoNotDecode) {
  for (const AttentionShape& shape : {AttentionShape{9, 3, 64, DType::f16, 16, {{62, 5}, {3, 1}}},
                                      AttentionShape{4, 2, 64, DType::f32, 16, {{62, 1}, {3, 1}}},
                                      AttentionShape{4, 2, 96, DType::f16, 16, {{62, 1}}}}) {
    SCOPED_TRACE(shape.name());
    const Problem problem(shape, shape.head_dim / 2, RopePairing::half);
    const Left parts = problem.run(*gpu, one_by_one);
    const Left at_once = problem.run(*gpu, [](auto&&... arguments) {
      return attend_and_prepare(arguments..., Precision::fast);
    });
    EXPECT_TRUE(at_once.cache == parts.cache && at_once.codes == parts.codes);
    EXPECT_TRUE(same_bits(at_once.out, parts.out));
  }
}

}  // namespace
}  // namespace shoehorn
