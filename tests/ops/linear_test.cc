#include "ops/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/ops/every_isa.h"
#include "tests/ops/weight_maker.h"

namespace shoehorn {
namespace {

constexpr Isa kAllIsas[] = {Isa::generic, Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::amx};

// Runs a check on every instruction set of this machine that linear layers have a body for.
template <typename Check>
void on_every_linear_isa(const Check& check) {
  const Isa before = linear_isa();
  for (const Isa isa : kAllIsas) {
    if (isa > cpu_isa()) break;
    set_linear_isa(isa);
    SCOPED_TRACE(name(isa));
    check();
  }
  set_linear_isa(before);
}

// x: lively rows with an outlier, a row of zeros, a tiny row, in a buffer wider than the columns.
struct Input {
  Input(int64_t m, int64_t columns, uint64_t seed = 7) : stride(columns + 5) {
    Random random(seed);
    values = random_floats(random, m * stride, -3.0f, 3.0f);
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t c = 0; c < columns; ++c) {
        if (i % 5 == 1) values[i * stride + c] = 0;
        if (i % 5 == 2) values[i * stride + c] *= 1e-20f;
      }
      values[i * stride + (i * 37) % columns] = i % 2 ? 200.0f : -90.0f;
    }
    tensor = Tensor::matrix(values.data(), m, columns, stride);
  }
  int64_t stride;
  std::vector<float> values;
  Tensor tensor;
};

std::vector<float> run_linear(ThreadPool& pool, const Weight& weight, const Tensor& x,
                              Precision precision = Precision::fast) {
  std::vector<std::byte> scratch(
      static_cast<size_t>(activation_scratch_bytes(x.rows(), x.columns())) + 64);
  const uintptr_t misaligned = reinterpret_cast<uintptr_t>(scratch.data()) % 64;
  const std::span<std::byte> aligned = std::span(scratch).subspan(misaligned ? 64 - misaligned : 0);
  std::vector<float> y(static_cast<size_t>(x.rows() * weight.rows), NAN);
  const ActivationRows prepared = prepare_activations(pool, x, aligned, precision);
  linear(pool, prepared,
         {{.weight = &weight, .output = Tensor::matrix(y.data(), x.rows(), weight.rows)}});
  return y;
}

// x rounded as the contract says: xq * sx, sx = max|x| / 127 by blocks of 32 columns.
std::vector<double> rounded_row(const float* x, int64_t columns) {
  std::vector<double> row(static_cast<size_t>(columns));
  for (int64_t begin = 0; begin < columns; begin += 32) {
    float largest = 0;
    const int64_t end = std::min(begin + 32, columns);
    for (int64_t c = begin; c < end; ++c) largest = std::max(largest, std::fabs(x[c]));
    const float scale = largest / 127.0f;
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    for (int64_t c = begin; c < end; ++c) {
      row[c] = static_cast<double>(std::nearbyint(x[c] * inverse)) * static_cast<double>(scale);
    }
  }
  return row;
}

// Sum of the magnitudes of what a kernel adds up: scale * u and the minimum (or minus the offset
// times the scale) are separate terms where the input is rounded.
double term_magnitude(const Weight& weight, int64_t row, const std::vector<float>& values,
                      const std::vector<double>& input, bool rounded) {
  double sum = 0;
  double correction = 0;
  for (int64_t c = 0; c < weight.columns; ++c) {
    if (rounded && c % 16 == 0) {
      const ScaleAndMinimum s =
          scale_at(weight.format, weight.tile(row / kTileRows), row % kTileRows, c);
      correction = std::fabs(weight.format.meaning == CodeMeaning::iq4nl ? 128.0 * s.scale
                                                                         : 1.0 * s.minimum);
    }
    sum += (std::fabs(static_cast<double>(values[c])) + 2 * correction) * std::fabs(input[c]);
  }
  return sum;
}

// Compares with sums in double. A float sum of n terms errs by at most n * 2^-24 of the sum of
// their magnitudes; a block of 16 or 32 columns is summed exactly, as one term (two with a
// minimum), and its scale is rounded once.
void expect_close(const Weight& weight, const Tensor& x, const std::vector<float>& y,
                  bool rounded) {
  std::vector<float> row(static_cast<size_t>(weight.columns));
  const double terms = static_cast<double>(weight.columns) / (rounded ? 8 : 1) + 4;
  for (int64_t r = 0; r < weight.rows; ++r) {
    dequantize_row(weight, r, row.data());
    for (int64_t i = 0; i < x.rows(); ++i) {
      const float* values = x.row<float>(i);
      std::vector<double> input(values, values + weight.columns);
      if (rounded) input = rounded_row(values, weight.columns);
      double sum = 0;
      for (int64_t c = 0; c < weight.columns; ++c) sum += static_cast<double>(row[c]) * input[c];
      const double tolerance =
          term_magnitude(weight, r, row, input, rounded) * terms * 0x1p-24 + 1e-37;
      ASSERT_NEAR(y[i * weight.rows + r], sum, tolerance)
          << name(weight.format) << " row " << r << " of " << weight.rows << ", input " << i;
    }
  }
}

class LinearFormats : public ::testing::TestWithParam<Format> {
 protected:
  // Column counts that the format allows: one section, several, and for plain formats ragged ones.
  static std::vector<int64_t> column_counts(const Format& format) {
    if (format.storage != Storage::grouped) return {1, 7, 16, 31, 32, 33, 576, 1001};
    const int64_t step = column_multiple(format);
    return {step, 3 * step, (576 + step - 1) / step * step};
  }
};

TEST_P(LinearFormats, AgreesWithSumsInDouble) {
  ThreadPool pool(2);
  on_every_linear_isa([&] {
    for (const int64_t columns : column_counts(GetParam())) {
      for (const int64_t rows : {1, 9, 16, 17, 50}) {
        const OwnedWeight owned = make_weight(GetParam(), rows, columns);
        for (const int64_t m : {1, 2, 3, 5, 8, 17}) {
          const Input input(m, columns);
          expect_close(owned.weight, input.tensor, run_linear(pool, owned.weight, input.tensor),
                       GetParam().storage == Storage::grouped);
        }
      }
    }
  });
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
  const int64_t columns = column_counts(GetParam()).back();
  const OwnedWeight owned = make_weight(GetParam(), 70, columns);
  const Input input(130, columns);
  on_every_linear_isa([&] {
    ThreadPool three(3), one(1);
    const std::vector<float> all = run_linear(three, owned.weight, input.tensor);
    for (const int64_t m : {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 129}) {
      const std::vector<float> part = run_linear(one, owned.weight, input.tensor.slice(0, m));
      const std::vector<float> expected(all.begin(), all.begin() + m * 70);
      ASSERT_TRUE(same_bits(part, expected)) << name(GetParam()) << " m " << m;
    }
    for (const int64_t row : {1, 16, 77, 129}) {
      const std::vector<float> alone =
          run_linear(one, owned.weight, input.tensor.slice(row, row + 1));
      const std::vector<float> expected(all.begin() + row * 70, all.begin() + (row + 1) * 70);
      ASSERT_TRUE(same_bits(alone, expected)) << name(GetParam()) << " row " << row;
    }
  });
}

TEST_P(LinearFormats, GroupedSumsHaveTheSameBitsOnEveryInstructionSet) {
  if (GetParam().storage != Storage::grouped) GTEST_SKIP() << "plain formats sum by lanes";
  ThreadPool pool(2);
  const int64_t columns = column_counts(GetParam()).back();
  const OwnedWeight owned = make_weight(GetParam(), 35, columns);
  const Input input(37, columns);
  set_linear_isa(Isa::generic);
  const std::vector<float> expected = run_linear(pool, owned.weight, input.tensor);
  on_every_linear_isa([&] {
    const std::vector<float> found = run_linear(pool, owned.weight, input.tensor);
    EXPECT_TRUE(same_bits(found, expected)) << name(GetParam());
  });
  set_linear_isa(cpu_isa());
}

INSTANTIATE_TEST_SUITE_P(All, LinearFormats, ::testing::ValuesIn(formats_under_test()),
                         [](const auto& info) {
                           std::string text = name(info.param);
                           for (char& c : text) c = std::isalnum(c) ? c : '_';
                           return text;
                         });

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
