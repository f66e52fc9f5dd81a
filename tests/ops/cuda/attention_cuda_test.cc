#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/ops/attention_reference.h"
#include "tests/ops/cuda/attention_card.h"
#include "tests/ops/every_isa.h"

namespace shoehorn {
namespace {

using AttentionCuda = CardTest;

// Few rows: all head sizes and types, contexts around pieces (128 tokens, more beyond 2048 or
// 4096), heads that share keys and not, tiles of rows that begin anywhere, several sequences.
std::vector<AttentionShape> few_rows_shapes() {
  std::vector<AttentionShape> shapes = attention_shapes();
  for (const int64_t d : {8, 16, 24, 32, 64, 80, 96, 128, 192, 256}) {
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
      shapes.push_back({3, 1, d, dtype, 16, {{0, 1}, {129, 2}}});
    }
  }
  for (const int64_t d : {64, 128}) {
    for (const int64_t heads : {1, 3, 8, 11}) {
      shapes.push_back({heads * 2, 2, d, DType::f16, 16, {{62, 5}, {1023, 1}, {0, 9}, {191, 2}}});
    }
    shapes.push_back({2, 2, d, DType::bf16, 32, {{4090, 12}}});
    shapes.push_back({8, 8, d, DType::f16, 16, {{2042, 12}}});
    shapes.push_back({8, 1, d, DType::f16, 16, {{2046, 3}, {4095, 2}, {8190, 1}}});
  }
  for (const int64_t context : {1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1100}) {
    shapes.push_back({8, 1, 128, DType::bf16, 16, {{context - 1, 1}}});
  }
  // Pages that copies of 16 tokens do not fit; more rows times pieces than one launch takes.
  shapes.push_back({4, 2, 64, DType::bf16, 7, {{1, 100}}});
  shapes.push_back({2, 2, 64, DType::f16, 16, {{4000, 20}, {4010, 20}}});
  shapes.push_back({8, 4, 128, DType::bf16, 16, {{4078, 37}}});
  return shapes;
}

// More than kFewRows rows, some of them in long spans, on tensor cores.
std::vector<AttentionShape> many_rows_shapes() {
  return {
      {9, 3, 64, DType::f16, 16, {{0, 100}}},
      {8, 1, 128, DType::bf16, 64, {{37, 130}}},
      {2, 2, 128, DType::f16, 48, {{0, 65}, {500, 33}, {1099, 1}, {63, 17}}},
      {4, 2, 64, DType::bf16, 32, {{1, 257}}},
      {1, 1, 128, DType::f16, 16, {{4000, 110}}},
      // Heads enough for large blocks, of 128 rows.
      {128, 2, 64, DType::f16, 16, {{0, 130}, {70, 20}}},
      {128, 2, 128, DType::bf16, 16, {{5, 140}}},
  };
}

float rounded(float x, DType dtype) {
  return dtype == DType::f16    ? f16_to_float(float_to_f16(x))
         : dtype == DType::bf16 ? bf16_to_float(float_to_bf16(x))
                                : x;
}

void round_queries(AttentionProblem& problem) {
  for (float& x : problem.q) x = rounded(x, problem.shape.dtype);
}

// Largest difference; infinite where a result is no number.
double worst_difference(const std::vector<float>& out, const std::vector<double>& expected) {
  double worst = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    if (!std::isfinite(out[i])) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, std::abs(static_cast<double>(out[i]) - expected[i]));
  }
  return worst;
}

// The span's rows.
bool same_rows(const std::vector<float>& a, const std::vector<float>& b, const AttentionSpan& span,
               int64_t row_numbers) {
  const auto begin = static_cast<size_t>(span.first_row * row_numbers);
  return std::memcmp(&a[begin], &b[begin],
                     static_cast<size_t>(span.row_count * row_numbers) * sizeof(float)) == 0;
}

// Scores, of a third of 0.3 sqrt(d) on average, are sums of d / 16 products of tensor cores, which
// cut sums off at 2^-23 instead of rounding them; the weighted mean then takes some twenty steps
// (exponent, sums over tokens, warps and pieces). A query or a probability is a sum of two numbers
// of 11 bits (f16: error 2^-22) or 8 (bf16: 2^-17).
double few_rows_tolerance(const AttentionShape& shape) {
  const auto d = static_cast<double>(shape.head_dim);
  const double score = 0.3 * std::sqrt(d);
  const double floats = 0x1p-23 * (d / 16 * score / 3 + 20);
  const bool is_split =
      shape.dtype != DType::f32 && (shape.head_dim == 64 || shape.head_dim == 128);
  if (!is_split) return floats;
  return floats + (shape.dtype == DType::f16 ? 0x1p-22 : 0x1p-17) * (score + 1);
}

// Queries are exact here; a probability is off by half a unit in the last place at most, so the
// weighted mean of values of at most 1 is too, twice where the sum is off the other way.
double many_rows_tolerance(const AttentionShape& shape) {
  return few_rows_tolerance(shape) + (shape.dtype == DType::f16 ? 0x1p-11 : 0x1p-8);
}

TEST_F(AttentionCuda, FewRowsMatchDouble) {
  double worst[3] = {};
  for (const AttentionShape& shape : few_rows_shapes()) {
    SCOPED_TRACE(shape.name());
    const AttentionProblem problem(shape);
    AttentionOnCard card(problem);
    const double difference =
        worst_difference(card.run(*gpu, problem.spans), attention_reference(problem));
    EXPECT_LE(difference, few_rows_tolerance(shape));
    double& of_type = worst[static_cast<size_t>(shape.dtype)];
    of_type = std::max(of_type, difference / few_rows_tolerance(shape));
  }
  RecordProperty("worst_share_of_tolerance",
                 testing::PrintToString(std::vector<double>(worst, worst + 3)));
}

TEST_F(AttentionCuda, ManyRowsMatchDouble) {
  double worst[3] = {};
  for (const AttentionShape& shape : many_rows_shapes()) {
    SCOPED_TRACE(shape.name());
    AttentionProblem problem(shape);
    round_queries(problem);
    AttentionOnCard card(problem);
    const double difference =
        worst_difference(card.run(*gpu, problem.spans), attention_reference(problem));
    EXPECT_LE(difference, many_rows_tolerance(shape));
    double& of_type = worst[static_cast<size_t>(shape.dtype)];
    of_type = std::max(of_type, difference / many_rows_tolerance(shape));
  }
  RecordProperty("worst_share_of_tolerance",
                 testing::PrintToString(std::vector<double>(worst, worst + 3)));
}

// Rounding q moves a score by a sum of head_dim errors, each below 0.3 half units: about
// sqrt(d) / 3 of them; four times that, and the probabilities' own rounding.
TEST_F(AttentionCuda, ManyRowsRoundQueries) {
  for (const AttentionShape& shape : many_rows_shapes()) {
    SCOPED_TRACE(shape.name());
    const AttentionProblem problem(shape);
    AttentionOnCard card(problem);
    const double half_unit = shape.dtype == DType::f16 ? 0x1p-11 : 0x1p-8;
    const double score_error = 0.3 * std::sqrt(static_cast<double>(shape.head_dim)) / 3 * half_unit;
    EXPECT_LE(worst_difference(card.run(*gpu, problem.spans), attention_reference(problem)),
              many_rows_tolerance(shape) + 4 * score_error);
  }
}

// Each row in a call of its own, as decoding does, and all rows at once.
TEST_F(AttentionCuda, SameBitsForAnyBatch) {
  for (const AttentionShape& shape : few_rows_shapes()) {
    SCOPED_TRACE(shape.name());
    const AttentionProblem problem(shape);
    AttentionOnCard card(problem);
    const std::vector<float> together = card.run(*gpu, problem.spans);
    const int64_t row_numbers = shape.heads * shape.head_dim;
    for (const AttentionSpan& span : problem.spans) {
      const int64_t step = std::max<int64_t>(1, span.row_count / 5);
      for (int64_t r = 0; r < span.row_count; r += step) {
        const AttentionSpan row = {span.first_row + r, 1, span.first_position + r, span.pages};
        const std::vector<float> alone =
            card.run(*gpu, {{0, 1, row.first_position, row.pages}}, row.first_row);
        EXPECT_TRUE(same_rows(alone, together, row, row_numbers)) << "row " << row.first_row;
      }
    }
  }
}

// A prompt in chunks (in blocks of 64 rows) and at once (of 128): the same bits; and within the
// tolerance where a chunk is of few rows.
TEST_F(AttentionCuda, ChunkedPrefill) {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    const AttentionShape shape = {128, 2, 64, dtype, 16, {{0, 300}}};
    AttentionProblem problem(shape);
    round_queries(problem);
    AttentionOnCard card(problem);
    const std::vector<float> whole = card.run(*gpu, problem.spans);
    const int64_t row_numbers = shape.heads * shape.head_dim;
    const int32_t* pages = problem.tables[0].data();
    for (const AttentionSpan& chunk :
         {AttentionSpan{0, 93, 0, pages}, {93, 107, 93, pages}, {200, 90, 200, pages}}) {
      const std::vector<float> out =
          card.run(*gpu, {{0, chunk.row_count, chunk.first_position, pages}}, chunk.first_row);
      EXPECT_TRUE(same_rows(out, whole, chunk, row_numbers)) << "rows from " << chunk.first_row;
    }
    const std::vector<float> few = card.run(*gpu, {{0, 60, 240, pages}}, 240);
    for (size_t i = static_cast<size_t>(240 * row_numbers); i < few.size(); ++i) {
      ASSERT_NEAR(few[i], whole[i], many_rows_tolerance(shape)) << i;
    }
  }
}

// Scores of +-10^4 and more: mostly one token takes all. Also of sizes that overflow f16.
TEST_F(AttentionCuda, ExtremeScores) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    for (const int64_t rows : {3, 70}) {
      AttentionProblem problem({4, 2, 128, dtype, 16, {{180, rows}}});
      for (float& x : problem.q) x = rounded(x * 10000, dtype);
      AttentionOnCard card(problem);
      const std::vector<float> out = card.run(*gpu, problem.spans);
      EXPECT_LE(worst_difference(out, attention_reference(problem)), 0.02)
          << name(dtype) << ", " << rows << " rows";
      for (float& x : problem.q) x *= 1e6f;
      AttentionOnCard larger(problem);
      for (const float x : larger.run(*gpu, problem.spans)) ASSERT_TRUE(std::isfinite(x));
    }
  }
}

TEST_F(AttentionCuda, StridedRows) {
  for (const AttentionShape& shape : {AttentionShape{6, 2, 64, DType::f16, 16, {{70, 5}, {0, 1}}},
                                      AttentionShape{2, 1, 24, DType::f32, 16, {{70, 5}, {0, 1}}},
                                      AttentionShape{6, 2, 128, DType::bf16, 16, {{70, 80}}}}) {
    SCOPED_TRACE(shape.name());
    const AttentionProblem problem(shape);
    AttentionOnCard card(problem);
    EXPECT_TRUE(same_bits(card.run(*gpu, problem.spans, 0, 6), card.run(*gpu, problem.spans)));
  }
}

// What a graph replays is what the call did.
TEST_F(AttentionCuda, InAGraph) {
  for (const AttentionShape& shape : {AttentionShape{8, 1, 128, DType::f16, 16, {{700, 2}}},
                                      AttentionShape{2, 2, 64, DType::bf16, 16, {{60, 90}}}}) {
    const AttentionProblem problem(shape);
    AttentionOnCard card(problem);
    const std::vector<float> expected = card.run(*gpu, problem.spans);
    const SpansOnCard spans(problem.spans, shape.page_tokens);
    const OnCard<float> out(problem.q.size());
    const OnCard<std::byte> room(static_cast<size_t>(gpu_attention_scratch_bytes(
        problem.m, shape.heads, shape.head_dim, spans.view().max_context)));
    const int64_t row = shape.heads * shape.head_dim;
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    CUDA_CHECK(cudaStreamBeginCapture(gpu->stream(), cudaStreamCaptureModeGlobal));
    attention(*gpu, card.layer(),
              {.q = card.heads_of(card.q(), problem.m, row),
               .out = card.heads_of(out, problem.m, row),
               .scale = problem.scale},
              spans.view(), room.bytes());
    CUDA_CHECK(cudaStreamEndCapture(gpu->stream(), &graph));
    CUDA_CHECK(cudaGraphInstantiate(&executable, graph, 0));
    CUDA_CHECK(cudaGraphLaunch(executable, gpu->stream()));
    EXPECT_TRUE(gpu->wait().ok());
    EXPECT_TRUE(same_bits(out.read(), expected)) << shape.name();
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
  }
}

TEST(AttentionCudaScratch, GrowsWithRowsAndContextUpToABound) {
  const auto bytes = [](int64_t rows, int64_t context) {
    return gpu_attention_scratch_bytes(rows, 64, 128, context);
  };
  EXPECT_LT(bytes(1, 128), bytes(1, 4096));
  EXPECT_EQ(bytes(1, 4096), bytes(1, 1'000'000));
  EXPECT_LT(bytes(1, 4096), bytes(32, 4096));
  EXPECT_EQ(bytes(32, 4096), bytes(2048, 131072));
  EXPECT_EQ(bytes(2048, 131072), 1024 * 64 * (128 + 2) * 4);
}

}  // namespace
}  // namespace shoehorn
