// Linear layers in double, and inputs that are hard on them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <string>
#include <vector>

#include "ops/linear.h"
#include "tests/ops/every_isa.h"
#include "tests/ops/rounded_row.h"
#include "tests/ops/weight_maker.h"

namespace shoehorn {

inline constexpr Isa kAllIsas[] = {Isa::generic, Isa::avx2, Isa::avx512, Isa::avx512_bf16,
                                   Isa::amx};

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

// x: lively rows with an outlier, rows of zeros (but for it), tiny rows, and rows below what can be
// rounded, in a buffer wider than the columns.
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
      for (int64_t c = 0; i % 7 == 3 && c < columns; ++c) values[i * stride + c] *= 1e-41f;
    }
    tensor = Tensor::matrix(values.data(), m, columns, stride);
  }
  int64_t stride;
  std::vector<float> values;
  Tensor tensor;
};

// An input made ready, with its scratch.
struct ReadyInput {
  ReadyInput(ThreadPool& pool, const Tensor& x, Precision precision)
      : scratch(static_cast<size_t>(activation_scratch_bytes(x.rows(), x.columns())) + 64) {
    const uintptr_t misaligned = reinterpret_cast<uintptr_t>(scratch.data()) % 64;
    rows = prepare_activations(
        pool, x, std::span(scratch).subspan(misaligned ? 64 - misaligned : 0), precision);
  }
  std::vector<std::byte> scratch;
  ActivationRows rows;
};

inline std::vector<float> run_linear(ThreadPool& pool, const Weight& weight, const Tensor& x,
                                     Precision precision = Precision::fast) {
  const ReadyInput ready(pool, x, precision);
  std::vector<float> y(static_cast<size_t>(x.rows() * weight.rows), NAN);
  linear(pool, ready.rows,
         {{.weight = &weight, .output = Tensor::matrix(y.data(), x.rows(), weight.rows)}});
  return y;
}

// Sum of the magnitudes of what a kernel adds up: scale * u and the minimum are separate terms.
inline double term_magnitude(const Weight& weight, int64_t row, const std::vector<float>& values,
                             const std::vector<double>& input) {
  double sum = 0;
  double minimum = 0;
  for (int64_t c = 0; c < weight.columns; ++c) {
    if (weight.format.has_minimum() && c % 16 == 0) {
      const std::byte* tile = weight.tile(row / kTileRows);
      minimum = std::fabs(scale_at(weight.format, tile, row % kTileRows, c).minimum);
    }
    sum += (std::fabs(static_cast<double>(values[c])) + 2 * minimum) * std::fabs(input[c]);
  }
  return sum;
}

// Sums in double, and how far a kernel may be from them. A float sum of n terms errs by at most n *
// 2^-24 of the sum of their magnitudes; a block of 16 or 32 columns is summed exactly, as one term
// (two with a minimum), and its scale is rounded once.
struct Reference {
  Reference(const Weight& weight, const Tensor& x, bool rounded) : rows(weight.rows) {
    std::vector<float> row(static_cast<size_t>(weight.columns));
    const double terms = static_cast<double>(weight.columns) / (rounded ? 8 : 1) + 4;
    std::vector<std::vector<double>> inputs;
    for (int64_t i = 0; i < x.rows(); ++i) {
      const float* values = x.row<float>(i);
      inputs.push_back(rounded ? rounded_row(values, weight.columns)
                               : std::vector<double>(values, values + weight.columns));
    }
    sums.resize(static_cast<size_t>(x.rows() * rows));
    tolerances.resize(sums.size());
    for (int64_t r = 0; r < rows; ++r) {
      dequantize_row(weight, r, row.data());
      for (int64_t i = 0; i < x.rows(); ++i) {
        const std::vector<double>& input = inputs[i];
        double sum = 0;
        for (int64_t c = 0; c < weight.columns; ++c) sum += static_cast<double>(row[c]) * input[c];
        sums[i * rows + r] = sum;
        tolerances[i * rows + r] = term_magnitude(weight, r, row, input) * terms * 0x1p-24 + 1e-37;
      }
    }
  }

  // y: the output of the first input rows.
  void expect_close(const std::vector<float>& y) const {
    ASSERT_LE(y.size(), sums.size());
    for (size_t i = 0; i < y.size(); ++i) {
      ASSERT_NEAR(y[i], sums[i], tolerances[i])
          << "row " << i % rows << " of " << rows << ", input " << i / rows;
    }
  }

  int64_t rows;
  std::vector<double> sums, tolerances;
};

inline void expect_close(const Weight& weight, const Tensor& x, const std::vector<float>& y,
                         bool rounded) {
  SCOPED_TRACE(name(weight.format));
  Reference(weight, x, rounded).expect_close(y);
}

// Column counts that the format allows: one section, several, and for plain formats ragged ones.
inline std::vector<int64_t> column_counts(const Format& format) {
  if (format.storage != Storage::grouped) return {1, 7, 16, 31, 32, 33, 576, 1001};
  const int64_t step = column_multiple(format);
  return {step, 3 * step, (576 + step - 1) / step * step};
}

inline std::string test_name(const ::testing::TestParamInfo<Format>& info) {
  std::string text = name(info.param);
  for (char& c : text) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return text;
}

}  // namespace shoehorn
