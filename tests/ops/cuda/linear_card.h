// Linear layers in tests on a card: inputs, weights there and here, and references in double.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "ops/cuda/linear_parts.h"
#include "ops/linear.h"
#include "tests/ops/cuda/on_card.h"
#include "tests/ops/rounded_row.h"
#include "tests/ops/weight_maker.h"

namespace shoehorn {

// x: lively rows with an outlier, a row of zeros, a tiny row, in a buffer wider than the columns.
struct Input {
  Input(int64_t m, int64_t columns, uint64_t seed = 7)
      : m(m), columns(columns), stride(columns + 5) {
    Random random(seed);
    values.resize(static_cast<size_t>(m * stride));
    for (float& value : values) value = random.uniform(-3.0f, 3.0f);
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t c = 0; c < columns; ++c) {
        if (i % 5 == 1) values[i * stride + c] = 0;
        if (i % 5 == 2) values[i * stride + c] *= 1e-20f;
      }
      values[i * stride + (i * 37) % columns] = i % 2 ? 200.0f : -90.0f;
    }
  }
  const float* row(int64_t i) const { return values.data() + i * stride; }
  int64_t m, columns, stride;
  std::vector<float> values;
};

// An input on the card, made ready.
class Ready {
 public:
  Ready(Gpu& gpu, const Input& input, int64_t m, Precision precision = Precision::fast)
      : values_(input.values),
        scratch_(static_cast<size_t>(gpu_activation_scratch_bytes(m, input.columns))),
        rows(prepare_activations(gpu,
                                 Tensor::matrix(values_.data(), m, input.columns, input.stride),
                                 scratch_.bytes(), precision)) {}

 private:
  OnCard<float> values_;
  OnCard<std::byte> scratch_;

 public:
  GpuActivationRows rows;
};

// A weight here and on the card.
struct CardWeight {
  explicit CardWeight(OwnedWeight made)
      : owned(std::move(made)),
        bytes(std::span<const std::byte>(owned.buffer.data(),
                                         static_cast<size_t>(owned.weight.size_bytes()))),
        weight(owned.weight) {
    weight.data = bytes.data();
  }
  OwnedWeight owned;
  OnCard<std::byte> bytes;
  Weight weight;  // its data on the card
};

inline CardWeight card_weight(const Format& format, int64_t rows, int64_t columns,
                              uint64_t seed = 1) {
  return CardWeight(make_weight(format, rows, columns, seed));
}

inline std::vector<float> run(Gpu& gpu, const CardWeight& w, const Input& input, int64_t m,
                              Precision precision = Precision::fast) {
  const Ready x(gpu, input, m, precision);
  const OnCard<float> y(static_cast<size_t>(m * w.weight.rows));
  linear(gpu, x.rows,
         {{.weight = &w.weight, .output = Tensor::matrix(y.data(), m, w.weight.rows)}});
  EXPECT_TRUE(gpu.wait().ok());
  return y.read();
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

inline float largest_of(const std::vector<float>& values) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

// How inputs and weights are rounded on the way into a product.
enum class Rounding { none, int8, bf16 };

// Up to so many rows, a row has the same bits in every batch.
inline int64_t few_rows(const Format& format) {
  return format.storage == Storage::grouped ? rounded_rows(format) : kFewRows;
}

inline Rounding rounding_of(const Format& format, int64_t m, Precision precision) {
  if (precision == Precision::full || format.storage == Storage::f32) return Rounding::none;
  if (m > few_rows(format)) return Rounding::bf16;
  return format.storage == Storage::grouped ? Rounding::int8 : Rounding::none;
}

// Weight rows in double, with the sizes of the terms that a kernel adds up for each: scale * u and
// the minimum are separate terms where x is rounded to int8.
struct Reference {
  explicit Reference(const Weight& weight) : weight(weight) {
    std::vector<float> row(static_cast<size_t>(weight.columns));
    for (int64_t r = 0; r < weight.rows; ++r) {
      dequantize_row(weight, r, row.data());
      for (int64_t c = 0; c < weight.columns; ++c) {
        values.push_back(row[c]);
        double size = std::fabs(values.back());
        if (weight.format.has_minimum()) {
          size +=
              2 *
              std::fabs(
                  scale_at(weight.format, weight.tile(r / kTileRows), r % kTileRows, c).minimum);
        }
        sizes.push_back(size);
      }
    }
  }
  const Weight& weight;  // its data here
  std::vector<double> values, sizes;
};

// Compares rows [0, m) with sums in double. A float sum of n terms errs by at most n * 2^-24 of the
// sum of their sizes; a block of 16 or 32 columns is one exact term (two with a minimum). Rounding
// both factors to bf16 adds 2^-8 of it.
inline void expect_close(const Reference& w, const Input& input, int64_t m,
                         const std::vector<float>& y, Rounding rounding) {
  const int64_t columns = w.weight.columns;
  const double terms = static_cast<double>(columns) / (rounding == Rounding::int8 ? 8 : 1) + 4;
  const double relative = terms * 0x1p-24 + (rounding == Rounding::bf16 ? 0x1p-8 : 0);
  for (int64_t i = 0; i < m; ++i) {
    std::vector<double> x(input.row(i), input.row(i) + columns);
    if (rounding == Rounding::int8) x = rounded_row(input.row(i), columns);
    for (int64_t r = 0; r < w.weight.rows; ++r) {
      double sum = 0, size = 0;
      for (int64_t c = 0; c < columns; ++c) {
        sum += w.values[r * columns + c] * x[c];
        size += w.sizes[r * columns + c] * std::fabs(x[c]);
      }
      ASSERT_NEAR(y[i * w.weight.rows + r], sum, size * relative + 1e-37)
          << name(w.weight.format) << " " << w.weight.rows << " x " << columns << " row " << r
          << ", input " << i << " of " << m;
    }
  }
}

}  // namespace shoehorn
