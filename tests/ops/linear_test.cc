#include "ops/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/ops/linear_reference.h"

namespace shoehorn {
namespace {

class LinearFormats : public ::testing::TestWithParam<Format> {};

TEST_P(LinearFormats, AgreesWithSumsInDouble) {
  ThreadPool pool(2);
  for (const int64_t columns : column_counts(GetParam())) {
    for (const int64_t rows : {1, 9, 16, 17, 50}) {
      const OwnedWeight owned = make_weight(GetParam(), rows, columns);
      const Input input(17, columns);
      const Reference reference(owned.weight, input.tensor, GetParam().storage == Storage::grouped);
      on_every_linear_isa([&] {
        for (const int64_t m : {1, 2, 3, 5, 8, 17}) {
          reference.expect_close(run_linear(pool, owned.weight, input.tensor.slice(0, m)));
        }
      });
    }
  }
}

TEST_P(LinearFormats, PreciseModeNeverRoundsTheInput) {
  ThreadPool pool(2);
  on_every_linear_isa([&] {
    const int64_t columns = column_counts(GetParam()).back();
    const OwnedWeight owned = make_weight(GetParam(), 21, columns);
    const Input input(6, columns);
    expect_close(owned.weight, input.tensor,
                 run_linear(pool, owned.weight, input.tensor, Precision::full), false);
  });
}

TEST_P(LinearFormats, ARowDependsNeitherOnTheBatchNorOnThreads) {
  const int64_t columns = column_counts(GetParam()).back(), rows = 70;
  const OwnedWeight owned = make_weight(GetParam(), rows, columns);
  const Input input(130, columns);
  const auto expect_same = [&](Precision precision, const std::vector<int64_t>& counts) {
    ThreadPool three(3), one(1);
    const int64_t most = counts.back() + 1;
    const auto run = [&](ThreadPool& pool, int64_t begin, int64_t end) {
      return run_linear(pool, owned.weight, input.tensor.slice(begin, end), precision);
    };
    const std::vector<float> all = run(three, 0, most);
    for (const int64_t m : counts) {
      ASSERT_TRUE(same_bits(run(one, 0, m), {all.begin(), all.begin() + m * rows})) << "m " << m;
    }
    for (const int64_t row : {int64_t{1}, counts.back() / 2, counts.back()}) {
      const std::vector<float> expected(all.begin() + row * rows, all.begin() + (row + 1) * rows);
      ASSERT_TRUE(same_bits(run(one, row, row + 1), expected)) << "row " << row;
    }
  };
  on_every_linear_isa([&] {
    expect_same(Precision::fast,
                {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 23, 24, 31, 32, 33, 64, 65, 129});
    expect_same(Precision::full, {1, 2, 3, 4, 5, 9});
  });
}

TEST_P(LinearFormats, GroupedSumsHaveTheSameBitsOnEveryInstructionSet) {
  if (GetParam().storage != Storage::grouped) GTEST_SKIP() << "plain formats sum by lanes";
  ThreadPool pool(2);
  const int64_t columns = column_counts(GetParam()).back();
  const OwnedWeight owned = make_weight(GetParam(), 35, columns);
  const Input input(37, columns);
  for (const Precision precision : {Precision::fast, Precision::full}) {
    const Tensor x = input.tensor.slice(0, precision == Precision::fast ? 37 : 6);
    set_linear_isa(Isa::generic);
    const std::vector<float> expected = run_linear(pool, owned.weight, x, precision);
    on_every_linear_isa(
        [&] { EXPECT_TRUE(same_bits(run_linear(pool, owned.weight, x, precision), expected)); });
  }
  set_linear_isa(cpu_isa());
}

// Rows of several chunks, more tiles than pass over the input at once, more input rows than one
// pass takes, and the last of each ragged.
TEST(Linear, LargeShapesHaveTheSameBitsOnEveryInstructionSet) {
  const Format formats[] = {
      {Storage::grouped, 4, 32, ScaleEncoding::f16, CodeMeaning::symmetric},
      {Storage::grouped, 5, 32, ScaleEncoding::two_level, CodeMeaning::with_minimum},
      {Storage::grouped, 6, 16, ScaleEncoding::two_level, CodeMeaning::symmetric},
      {Storage::grouped, 8, 256, ScaleEncoding::f16, CodeMeaning::symmetric}};
  ThreadPool one(1), two(2);
  const int64_t rows = 16 * 9 + 5, columns = 256 * 19;
  for (const Format& format : formats) {
    SCOPED_TRACE(name(format));
    const OwnedWeight owned = make_weight(format, rows, columns);
    const Input input(75, columns);
    set_linear_isa(Isa::generic);
    const std::vector<float> expected = run_linear(two, owned.weight, input.tensor.slice(0, 7));
    set_linear_isa(cpu_isa());
    const std::vector<float> first = run_linear(one, owned.weight, input.tensor);
    expect_close(owned.weight, input.tensor, first, true);
    on_every_linear_isa([&] {
      EXPECT_TRUE(same_bits(run_linear(two, owned.weight, input.tensor.slice(0, 7)), expected));
      if (linear_isa() == Isa::generic) return;  // too slow
      EXPECT_TRUE(same_bits(run_linear(two, owned.weight, input.tensor), first));
    });
    EXPECT_TRUE(same_bits(expected, {first.begin(), first.begin() + 7 * rows}));
  }
}

INSTANTIATE_TEST_SUITE_P(All, LinearFormats, ::testing::ValuesIn(formats_under_test()), test_name);

// Extremes of codes: every code at its smallest or largest, every activation at its largest, so
// that sums in 16 bits would overflow if a kernel let them.
TEST(Linear, SurvivesExtremeCodesAndInputs) {
  ThreadPool pool(1);
  for (const Format& format : formats_under_test()) {
    if (format.storage != Storage::grouped) continue;
    const int64_t columns = std::max<int64_t>(column_multiple(format), 64);
    for (const uint8_t fill : {0x00, 0xFF}) {
      OwnedWeight owned = make_weight(format, 16, columns);
      BlockCodes codes;
      for (auto& row : codes) row.fill(static_cast<uint8_t>(fill & ((1 << format.bits) - 1)));
      for (int64_t c = 0; c < columns; c += 32) {
        pack_codes(format, codes, owned.buffer.data() + block_offsets(format, c).codes);
      }
      for (const float sign : {1.0f, -1.0f}) {
        std::vector<float> x(static_cast<size_t>(columns), 3.5f * sign);
        const Tensor tensor = Tensor::matrix(x.data(), 1, columns);
        on_every_linear_isa([&] {
          expect_close(owned.weight, tensor, run_linear(pool, owned.weight, tensor), true);
        });
      }
    }
  }
}

TEST(Linear, AddsBiasAndAddsToTheOutputAndKeepsStrides) {
  ThreadPool pool(2);
  const OwnedWeight owned = make_weight({Storage::grouped, 4, 32, ScaleEncoding::f16}, 21, 64);
  const Input input(3, 64);
  const std::vector<float> plain = run_linear(pool, owned.weight, input.tensor);
  std::vector<float> bias(21), y(3 * 30, 2.0f);
  for (int i = 0; i < 21; ++i) bias[i] = static_cast<float>(i);
  std::vector<std::byte> scratch(static_cast<size_t>(activation_scratch_bytes(3, 64)) + 64);
  const ActivationRows x = prepare_activations(pool, input.tensor, scratch, Precision::fast);
  linear(pool, x,
         {{.weight = &owned.weight,
           .bias = bias.data(),
           .output = Tensor::matrix(y.data(), 3, 21, 30),
           .mode = OutputMode::add}});
  for (int i = 0; i < 3; ++i) {
    for (int r = 0; r < 21; ++r) EXPECT_EQ(y[i * 30 + r], 2.0f + (plain[i * 21 + r] + bias[r]));
    for (int r = 21; r < 30; ++r) EXPECT_EQ(y[i * 30 + r], 2.0f) << "written outside the output";
  }
}

TEST(Linear, SeveralTasksShareOneInput) {
  const Input input(9, 96);
  std::vector<OwnedWeight> weights;
  std::vector<Format> formats = {{Storage::grouped, 4, 32, ScaleEncoding::f16},
                                 kF32,
                                 kBf16,
                                 {Storage::grouped, 8, 32, ScaleEncoding::f16}};
  const int64_t rows[] = {100, 3, 40, 1};
  for (int i = 0; i < 4; ++i) weights.push_back(make_weight(formats[i], rows[i], 96, 10 + i));
  for (const int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    std::vector<std::byte> scratch(static_cast<size_t>(activation_scratch_bytes(9, 96)) + 64);
    const ActivationRows x = prepare_activations(pool, input.tensor, scratch, Precision::fast);
    std::vector<std::vector<float>> outputs;
    std::vector<LinearTask> tasks;
    for (int i = 0; i < 4; ++i) outputs.emplace_back(9 * rows[i], NAN);
    for (int i = 0; i < 4; ++i) {
      tasks.push_back(
          {.weight = &weights[i].weight, .output = Tensor::matrix(outputs[i].data(), 9, rows[i])});
    }
    linear(pool, x, tasks);
    for (int i = 0; i < 4; ++i) {
      EXPECT_TRUE(same_bits(outputs[i], run_linear(pool, weights[i].weight, input.tensor)));
    }
  }
}

TEST(Linear, CostCountsWeightBytesOnceAndTwoFlopsAProduct) {
  const Weight weight = {{Storage::grouped, 4, 32, ScaleEncoding::f16}, 64, 128, nullptr};
  const Cost cost = linear_cost(weight, 3);
  EXPECT_EQ(cost.bytes, 64 * 128 * 4.5 / 8 + 4 * 3 * (64 + 128));
  EXPECT_EQ(cost.flops, 2.0 * 3 * 64 * 128);
}

}  // namespace
}  // namespace shoehorn
