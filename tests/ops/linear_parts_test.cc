// Weights cut into parts that lie in different places.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/ops/linear_reference.h"

namespace shoehorn {
namespace {

// `count` parts, each in a buffer of its own; those in `absent` left out.
struct Parts {
  Parts(const Format& format, int64_t rows, int64_t columns, int64_t count,
        const std::vector<int64_t>& absent = {}) {
    for (int64_t p = 0; p < count; ++p) {
      owned.push_back(make_weight(format, rows, columns, static_cast<uint64_t>(100 + p)));
      pointers.push_back(owned.back().weight.data);
    }
    for (const int64_t p : absent) pointers[static_cast<size_t>(p)] = nullptr;
    split = {format, rows, columns, pointers};
  }
  bool present(int64_t p) const { return pointers[static_cast<size_t>(p)] != nullptr; }
  const Weight& weight(int64_t p) const { return owned[static_cast<size_t>(p)].weight; }
  int64_t count() const { return static_cast<int64_t>(pointers.size()); }

  // The parts below one another as one matrix; their rows are whole tiles.
  OwnedWeight stacked() const {
    OwnedWeight whole = make_weight(split.format, split.rows * count(), split.columns);
    const int64_t bytes = weight(0).size_bytes();
    for (int64_t p = 0; p < count(); ++p) {
      std::memcpy(whole.buffer.data() + p * bytes, weight(p).data, static_cast<size_t>(bytes));
    }
    return whole;
  }

  std::vector<OwnedWeight> owned;
  std::vector<const std::byte*> pointers;
  SplitWeight split;
};

Tensor columns_of(const Tensor& x, int64_t begin, int64_t count) {
  return Tensor::matrix(x.row<float>(0) + begin, x.rows(), count, x.strides[0]);
}

std::vector<float> run_row_parts(ThreadPool& pool, const Parts& parts, const Tensor& x,
                                 Precision precision) {
  const ReadyInput ready(pool, x, precision);
  const int64_t rows = parts.split.rows * parts.count();
  std::vector<float> y(static_cast<size_t>(x.rows() * rows), 5.0f);
  const RowPartsTask task = {parts.split, Tensor::matrix(y.data(), x.rows(), rows)};
  linear_row_parts(pool, ready.rows, {&task, 1});
  return y;
}

constexpr float kBefore = 0.25f;

std::vector<float> run_column_parts(ThreadPool& pool, const Parts& parts, const Tensor& x,
                                    Precision precision, OutputMode mode) {
  const ReadyInput ready(pool, x, precision);
  const int64_t rows = parts.split.rows, stride = rows + 3;
  std::vector<float> wide(static_cast<size_t>(x.rows() * stride), kBefore);
  linear_column_parts(pool, ready.rows, parts.split,
                      Tensor::matrix(wide.data(), x.rows(), rows, stride), mode);
  std::vector<float> y;
  for (int64_t i = 0; i < x.rows(); ++i) {
    const auto row = wide.begin() + i * stride;
    y.insert(y.end(), row, row + rows);
    for (int64_t r = rows; r < stride; ++r) EXPECT_EQ(row[r], kBefore) << "outside the output";
  }
  return y;
}

// One linear() a part, in ascending order.
std::vector<float> column_parts_one_by_one(ThreadPool& pool, const Parts& parts, const Tensor& x,
                                           Precision precision, OutputMode mode) {
  const int64_t rows = parts.split.rows, columns = parts.split.columns;
  std::vector<float> y(static_cast<size_t>(x.rows() * rows),
                       mode == OutputMode::add ? kBefore : 0.0f);
  for (int64_t p = 0; p < parts.count(); ++p) {
    if (!parts.present(p)) continue;
    const ReadyInput ready(pool, columns_of(x, p * columns, columns), precision);
    linear(pool, ready.rows,
           {{.weight = &parts.weight(p),
             .output = Tensor::matrix(y.data(), x.rows(), rows),
             .mode = mode}});
    mode = OutputMode::add;
  }
  return y;
}

class LinearParts : public ::testing::TestWithParam<Format> {
 protected:
  int64_t part_columns() const {
    return std::max<int64_t>(column_multiple(GetParam()), kBlockColumns) * 3;
  }
};

TEST_P(LinearParts, RowPartsGiveTheBitsOfTheWholeMatrix) {
  const Parts parts(GetParam(), 48, part_columns(), 5);
  const OwnedWeight whole = parts.stacked();
  const Input input(19, part_columns());
  on_every_linear_isa([&] {
    for (const int threads : {1, 3}) {
      ThreadPool pool(threads);
      for (const int64_t m : {1, 5, 19}) {
        const Tensor x = input.tensor.slice(0, m);
        EXPECT_TRUE(same_bits(run_row_parts(pool, parts, x, Precision::fast),
                              run_linear(pool, whole.weight, x)));
      }
      const Tensor x = input.tensor.slice(0, 2);
      EXPECT_TRUE(same_bits(run_row_parts(pool, parts, x, Precision::full),
                            run_linear(pool, whole.weight, x, Precision::full)));
    }
  });
}

TEST_P(LinearParts, RowPartsLeftOutKeepTheirOutputs) {
  const Parts parts(GetParam(), 21, part_columns(), 5, {0, 3});
  const Input input(3, part_columns());
  ThreadPool pool(2);
  const std::vector<float> y = run_row_parts(pool, parts, input.tensor, Precision::fast);
  for (int64_t p = 0; p < 5; ++p) {
    const std::vector<float> expected = run_linear(pool, parts.weight(p), input.tensor);
    for (int64_t i = 0; i < 3; ++i) {
      for (int64_t r = 0; r < 21; ++r) {
        ASSERT_EQ(y[static_cast<size_t>(i * 105 + p * 21 + r)],
                  parts.present(p) ? expected[static_cast<size_t>(i * 21 + r)] : 5.0f)
            << "part " << p;
      }
    }
  }
}

// A float sum of n parts errs by at most n * 2^-24 of the sum of their magnitudes, beside what the
// parts err.
TEST_P(LinearParts, ColumnPartsAgreeWithSumsInDouble) {
  const bool grouped = GetParam().storage == Storage::grouped;
  const int64_t columns = part_columns(), rows = 37;
  const Parts parts(GetParam(), rows, columns, 5, {1});
  const Input input(5, columns * 5);
  std::vector<double> sums(static_cast<size_t>(5 * rows)), magnitudes(sums), tolerances(sums);
  for (int64_t p = 0; p < 5; ++p) {
    if (!parts.present(p)) continue;
    const Reference part(parts.weight(p), columns_of(input.tensor, p * columns, columns), grouped);
    for (size_t i = 0; i < sums.size(); ++i) {
      sums[i] += part.sums[i];
      tolerances[i] += part.tolerances[i];
      magnitudes[i] += std::fabs(part.sums[i]) + part.tolerances[i];
    }
  }
  ThreadPool pool(2);
  on_every_linear_isa([&] {
    const std::vector<float> y =
        run_column_parts(pool, parts, input.tensor, Precision::fast, OutputMode::store);
    for (size_t i = 0; i < y.size(); ++i) {
      ASSERT_NEAR(y[i], sums[i], tolerances[i] + 5 * 0x1p-24 * magnitudes[i]) << "output " << i;
    }
  });
}

TEST_P(LinearParts, ColumnPartsAddUpInAscendingOrder) {
  const Parts parts(GetParam(), 53, part_columns(), 7, {0, 4});
  const Input input(70, part_columns() * 7);
  ThreadPool one(1), three(3);
  on_every_linear_isa([&] {
    for (const OutputMode mode : {OutputMode::store, OutputMode::add}) {
      for (const Precision precision : {Precision::fast, Precision::full}) {
        const std::vector<int64_t> counts = precision == Precision::fast && mode == OutputMode::add
                                                ? std::vector<int64_t>{1, 8, 17, 70}
                                                : std::vector<int64_t>{1, 5};
        for (const int64_t m : counts) {
          if (linear_isa() == Isa::generic && m > 8) continue;  // too slow
          const Tensor x = input.tensor.slice(0, m);
          const std::vector<float> expected =
              column_parts_one_by_one(one, parts, x, precision, mode);
          EXPECT_TRUE(same_bits(run_column_parts(one, parts, x, precision, mode), expected));
          EXPECT_TRUE(same_bits(run_column_parts(three, parts, x, precision, mode), expected));
        }
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(All, LinearParts, ::testing::ValuesIn(formats_under_test()), test_name);

TEST(LinearPartsOfNothing, StoreZerosOrAddNothing) {
  const Parts parts({Storage::grouped, 4, 32, ScaleEncoding::f16}, 21, 64, 3, {0, 1, 2});
  const Input input(3, 192);
  ThreadPool pool(2);
  const std::vector<float> zeros(63, 0.0f), kept(63, kBefore);
  EXPECT_EQ(run_column_parts(pool, parts, input.tensor, Precision::fast, OutputMode::store), zeros);
  EXPECT_EQ(run_column_parts(pool, parts, input.tensor, Precision::fast, OutputMode::add), kept);
  const Tensor x = columns_of(input.tensor, 0, 64);
  EXPECT_EQ(run_row_parts(pool, parts, x, Precision::fast), std::vector<float>(189, 5.0f));
}

TEST(LinearColumnParts, OnePartMayHaveAnyColumns) {
  const Parts parts(kF32, 21, 45, 1);
  const Input input(3, 45);
  ThreadPool pool(2);
  EXPECT_TRUE(
      same_bits(run_column_parts(pool, parts, input.tensor, Precision::fast, OutputMode::store),
                run_linear(pool, parts.weight(0), input.tensor)));
}

// Gate and up of a feed-forward in one region: tasks of several formats.
TEST(LinearRowParts, SeveralTasksShareOneInput) {
  const Parts gate({Storage::grouped, 4, 32, ScaleEncoding::f16}, 40, 96, 3, {1});
  const Parts up({Storage::grouped, 6, 32, ScaleEncoding::f16}, 24, 96, 5, {4});
  const Input input(9, 96);
  for (const int threads : {1, 2, 7}) {
    ThreadPool pool(threads);
    const ReadyInput ready(pool, input.tensor, Precision::fast);
    std::vector<float> gate_out(9 * 120, 5.0f), up_out(9 * 120, 5.0f);
    const RowPartsTask tasks[] = {{gate.split, Tensor::matrix(gate_out.data(), 9, 120)},
                                  {up.split, Tensor::matrix(up_out.data(), 9, 120)}};
    linear_row_parts(pool, ready.rows, tasks);
    EXPECT_TRUE(same_bits(gate_out, run_row_parts(pool, gate, input.tensor, Precision::fast)));
    EXPECT_TRUE(same_bits(up_out, run_row_parts(pool, up, input.tensor, Precision::fast)));
  }
}

}  // namespace
}  // namespace shoehorn
