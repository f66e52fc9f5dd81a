#include "ops/linear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <utility>
#include <vector>

#include "tests/ops/cuda/linear_card.h"

namespace shoehorn {
namespace {

class LinearOnCard : public CardTest, public ::testing::WithParamInterface<Format> {
 protected:
  // Column counts that the format allows: one section, several, and for plain formats ragged ones.
  static std::vector<int64_t> column_counts() {
    if (GetParam().storage != Storage::grouped) return {1, 7, 32, 33, 1001, 576};
    const int64_t step = column_multiple(GetParam());
    return {step, 3 * step, (1184 + step - 1) / step * step};
  }
};

constexpr int64_t kBatches[] = {1, 2, 3, 5, 8, 9, 16, 17, 33, 64, 65, 130};

TEST_P(LinearOnCard, AgreesWithSumsInDouble) {
  for (const int64_t columns : column_counts()) {
    for (const int64_t rows : {1, 16, 33, 70}) {
      const bool largest = rows == 70 && columns == column_counts().back();
      const CardWeight w = card_weight(GetParam(), rows, columns);
      const Reference reference(w.owned.weight);
      const Input input(130, columns);
      for (const int64_t m : kBatches) {
        if (!largest && m != 1 && m != 17 && m != 65 && m != 130) continue;
        expect_close(reference, input, m, run(*gpu, w, input, m),
                     rounding_of(GetParam(), m, Precision::fast));
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(LinearOnCard, PreciseModeNeverRoundsTheInput) {
  const int64_t columns = column_counts().back();
  const CardWeight w = card_weight(GetParam(), 37, columns);
  const Reference reference(w.owned.weight);
  const Input input(70, columns);
  for (const int64_t m : {1, 6, 70}) {
    expect_close(reference, input, m, run(*gpu, w, input, m, Precision::full), Rounding::none);
  }
}

TEST_P(LinearOnCard, ARowHasTheSameBitsInEveryBatch) {
  const int64_t columns = column_counts().back();
  const CardWeight w = card_weight(GetParam(), 70, columns);
  const int64_t most = few_rows(GetParam());
  const Input input(most, columns);
  const std::vector<float> all = run(*gpu, w, input, most);
  for (const int64_t m : {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 127}) {
    if (m > most) break;
    const std::vector<float> expected(all.begin(), all.begin() + m * 70);
    ASSERT_TRUE(same_bits(run(*gpu, w, input, m), expected)) << name(GetParam()) << " m " << m;
  }
  Input shifted(1, columns);
  for (const int64_t row : {1, 16, 50, 63}) {
    std::copy(input.row(row), input.row(row) + columns, shifted.values.begin());
    const std::vector<float> expected(all.begin() + row * 70, all.begin() + (row + 1) * 70);
    ASSERT_TRUE(same_bits(run(*gpu, w, shifted, 1), expected)) << name(GetParam()) << row;
  }
}

// The parts of a cut weight, some left out, at places of their own on the card.
struct Parts {
  Parts(const Format& format, int64_t rows, int64_t columns, std::vector<int> left_out) {
    for (int p = 0; p < kCount; ++p) {
      made.push_back(card_weight(format, rows, columns, 100 + p));
      const bool out = std::count(left_out.begin(), left_out.end(), p) > 0;
      pointers.push_back(out ? nullptr : made.back().weight.data);
    }
    split = {format, rows, columns, pointers};
  }
  static constexpr int kCount = 6;
  std::vector<CardWeight> made;
  std::vector<const std::byte*> pointers;
  SplitWeight split;
};

TEST_P(LinearOnCard, RowPartsAreThePartsAndNothingElse) {
  const int64_t columns = column_counts().back();
  const Input input(130, columns);
  for (const auto& [rows, m] : std::initializer_list<std::pair<int64_t, int64_t>>{
           {40, 1}, {7, 2}, {40, 20}, {40, 70}, {40, 130}}) {
    const Parts parts(GetParam(), rows, columns, {1, 4});
    const Ready x(*gpu, input, m);
    const int64_t stride = Parts::kCount * rows + 3;
    const OnCard<float> y(static_cast<size_t>(m * stride));
    linear_row_parts(
        *gpu, x.rows,
        std::array<RowPartsTask, 1>{
            {{parts.split, Tensor::matrix(y.data(), m, Parts::kCount * rows, stride)}}});
    const std::vector<float> found = y.read();
    for (int p = 0; p < Parts::kCount; ++p) {
      const bool there = parts.pointers[p] != nullptr;
      const std::vector<float> alone = run(*gpu, parts.made[p], input, m);
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t r = 0; r < rows; ++r) {
          const float value = found[i * stride + p * rows + r];
          if (!there) {
            ASSERT_TRUE(std::isnan(value)) << "written for a part left out";
          } else if (m <= few_rows(GetParam())) {
            ASSERT_EQ(value, alone[i * rows + r]) << name(GetParam()) << " part " << p;
          } else {  // neighbouring parts are one product: other sums, the same terms
            ASSERT_NEAR(value, alone[i * rows + r], 1e-5 * largest_of(alone));
          }
        }
      }
      for (int64_t i = 0; i < m; ++i) {
        ASSERT_TRUE(std::isnan(found[i * stride + Parts::kCount * rows]));
      }
    }
  }
}

TEST_P(LinearOnCard, ColumnPartsAddUpWhereverTheyLie) {
  const int64_t columns = std::max<int64_t>(column_multiple(GetParam()), 96), rows = 45;
  if (columns % column_multiple(GetParam()) != 0) GTEST_SKIP() << "no such columns";
  const Parts parts(GetParam(), rows, columns, {0, 3});
  std::vector<OnCard<std::byte>> moved;
  std::vector<const std::byte*> pointers;
  for (int p = Parts::kCount - 1; p >= 0; --p) {
    const OwnedWeight& owned = parts.made[p].owned;
    moved.emplace_back(std::span<const std::byte>(owned.buffer.data(),
                                                  static_cast<size_t>(owned.weight.size_bytes())));
    pointers.insert(pointers.begin(), parts.pointers[p] ? moved.back().data() : nullptr);
  }
  const SplitWeight elsewhere = {GetParam(), rows, columns, pointers};
  const Input input(130, columns * Parts::kCount);
  for (const Precision precision : {Precision::fast, Precision::full}) {
    for (const int64_t m : {1, 20, 70, 130}) {
      const Ready x(*gpu, input, m, precision);
      const OnCard<float> y(static_cast<size_t>(m * rows));
      const Tensor output = Tensor::matrix(y.data(), m, rows);
      linear_column_parts(*gpu, x.rows, parts.split, output, OutputMode::store);
      const std::vector<float> found = y.read();
      linear_column_parts(*gpu, x.rows, elsewhere, output, OutputMode::store);
      ASSERT_TRUE(same_bits(y.read(), found)) << name(GetParam()) << " m " << m;
      linear_column_parts(*gpu, x.rows, elsewhere, output, OutputMode::add);
      const std::vector<float> twice = y.read();
      std::vector<float> sum(found.size(), 0.0f);
      for (int p = 0; p < Parts::kCount; ++p) {
        if (!parts.pointers[p]) continue;
        Input piece(m, columns);
        for (int64_t i = 0; i < m; ++i) {
          std::copy_n(input.row(i) + p * columns, columns, &piece.values[i * piece.stride]);
        }
        const std::vector<float> one = run(*gpu, parts.made[p], piece, m, precision);
        for (size_t k = 0; k < sum.size(); ++k) sum[k] += one[k];
      }
      const double tolerance = 1e-5 * largest_of(sum);
      for (size_t k = 0; k < sum.size(); ++k) {
        ASSERT_NEAR(found[k], sum[k], tolerance) << name(GetParam()) << " m " << m;
        ASSERT_NEAR(twice[k], 2 * found[k], tolerance);
      }
    }
  }
}

// Extremes of codes: every code at its smallest or largest, every activation at its largest.
TEST_P(LinearOnCard, SurvivesExtremeCodesAndInputs) {
  const Format& format = GetParam();
  if (format.storage != Storage::grouped) GTEST_SKIP() << "no codes";
  const int64_t columns = std::max<int64_t>(column_multiple(format), 64);
  for (const uint8_t fill : {0x00, 0xFF}) {
    OwnedWeight owned = make_weight(format, 16, columns);
    BlockCodes codes;
    for (auto& row : codes) row.fill(static_cast<uint8_t>(fill & ((1 << format.bits) - 1)));
    for (int64_t c = 0; c < columns; c += 32) {
      pack_codes(format, codes, owned.buffer.data() + block_offsets(format, c).codes);
    }
    const CardWeight w(std::move(owned));
    const Reference reference(w.owned.weight);
    for (const float sign : {1.0f, -1.0f}) {
      Input input(1, columns);
      for (float& value : input.values) value = 3.5f * sign;
      expect_close(reference, input, 1, run(*gpu, w, input, 1), Rounding::int8);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, LinearOnCard, ::testing::ValuesIn(formats_under_test()),
                         [](const auto& info) {
                           std::string text = name(info.param);
                           for (char& c : text) c = std::isalnum(c) ? c : '_';
                           return text;
                         });

const Format kQ4 = {Storage::grouped, 4, 32, ScaleEncoding::f16};

class LinearCalls : public CardTest {};

TEST_F(LinearCalls, BlocksTakeSeveralUnits) {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{17010, 2080}, {9001, 96}}) {
    const CardWeight w = card_weight(kQ4, rows, columns);
    const Input input(40, columns);
    const std::vector<float> all = run(*gpu, w, input, 40);
    for (const int64_t m : {1, 12, 30}) {
      const std::vector<float> expected(all.begin(), all.begin() + m * rows);
      ASSERT_TRUE(same_bits(run(*gpu, w, input, m), expected)) << m;
    }
    Weight last = w.owned.weight;  // the last rows against the reference
    const int64_t first = (rows - 40) / 16 * 16;
    last.data += first / 16 * tile_bytes(kQ4, columns);
    last.rows = rows - first;
    std::vector<float> tail;
    for (int64_t i = 0; i < 40; ++i) {
      tail.insert(tail.end(), all.begin() + i * rows + first, all.begin() + (i + 1) * rows);
    }
    expect_close(Reference(last), input, 40, tail, Rounding::int8);
  }
}

TEST_F(LinearCalls, ScratchSmallerThanTheWeightOnlySlicesIt) {
  const CardWeight w = card_weight(kQ4, 300, 1024);
  const Input input(130, 1024);
  const OnCard<std::byte> small(size_t{256} << 10);
  for (const Precision precision : {Precision::fast, Precision::full}) {
    const std::vector<float> whole = run(*gpu, w, input, 130, precision);
    gpu->set_scratch(small.bytes());
    const std::vector<float> sliced = run(*gpu, w, input, 130, precision);
    gpu->set_scratch(scratch->bytes());
    const Rounding rounding = precision == Precision::fast ? Rounding::bf16 : Rounding::none;
    expect_close(Reference(w.owned.weight), input, 130, whole, rounding);
    expect_close(Reference(w.owned.weight), input, 130, sliced, rounding);
  }
}

TEST_F(LinearCalls, AddsBiasAndAddsToTheOutputAndKeepsStrides) {
  for (const Format& format : {kQ4, kBf16, kF32}) {
    const CardWeight w = card_weight(format, 21, 64);
    const Input input(130, 64);
    std::vector<float> bias(21);
    for (int i = 0; i < 21; ++i) bias[i] = static_cast<float>(i);
    const OnCard<float> card_bias(bias);
    for (const int64_t m : {3, 70, 130}) {
      const std::vector<float> plain = run(*gpu, w, input, m);
      const Ready x(*gpu, input, m);
      const OnCard<float> y(std::vector<float>(static_cast<size_t>(m * 30), 2.0f));
      linear(*gpu, x.rows,
             {{.weight = &w.weight,
               .bias = card_bias.data(),
               .output = Tensor::matrix(y.data(), m, 21, 30),
               .mode = OutputMode::add}});
      const std::vector<float> found = y.read();
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t r = 0; r < 30; ++r) {
          const float expected = r < 21 ? 2.0f + (plain[i * 21 + r] + bias[r]) : 2.0f;
          if (m <= few_rows(format) || r >= 21) {
            ASSERT_EQ(found[i * 30 + r], expected) << i << " " << r;
          } else {
            ASSERT_NEAR(found[i * 30 + r], expected, 1e-5 * largest_of(plain));
          }
        }
      }
    }
  }
}

TEST_F(LinearCalls, SeveralTasksShareOneInput) {
  const std::vector<Format> formats = {
      kQ4, kQ4, kF32, kBf16, kBf16, {Storage::grouped, 8, 32, ScaleEncoding::f16},
      kQ4, kQ4, kQ4,  kQ4,   kQ4};
  const int64_t rows[] = {100, 33, 3, 40, 5, 1, 7, 8, 9, 10, 64};
  const Input input(140, 96);
  std::vector<CardWeight> weights;
  for (size_t i = 0; i < formats.size(); ++i) {
    weights.push_back(card_weight(formats[i], rows[i], 96, 10 + i));
  }
  for (const int64_t m : {9, 80, 140}) {
    const Ready x(*gpu, input, m);
    std::vector<OnCard<float>> outputs;
    std::vector<LinearTask> tasks;
    for (size_t i = 0; i < formats.size(); ++i) {
      outputs.emplace_back(static_cast<size_t>(m * rows[i]));
      tasks.push_back(
          {.weight = &weights[i].weight, .output = Tensor::matrix(outputs[i].data(), m, rows[i])});
    }
    linear(*gpu, x.rows, tasks);
    for (size_t i = 0; i < formats.size(); ++i) {
      EXPECT_TRUE(same_bits(outputs[i].read(), run(*gpu, weights[i], input, m))) << i;
    }
  }
}

TEST_F(LinearCalls, RunFromAGraph) {
  const CardWeight w = card_weight(kQ4, 100, 256);
  const Input input(130, 256);
  for (const int64_t m : {4, 70, 130}) {
    const std::vector<float> expected = run(*gpu, w, input, m);
    const OnCard<float> values(input.values);
    const OnCard<std::byte> prepared(static_cast<size_t>(gpu_activation_scratch_bytes(m, 256)));
    const OnCard<float> y(static_cast<size_t>(m * 100));
    cudaGraph_t graph;
    cudaGraphExec_t program;
    CUDA_CHECK(cudaStreamBeginCapture(gpu->stream(), cudaStreamCaptureModeThreadLocal));
    const GpuActivationRows x =
        prepare_activations(*gpu, Tensor::matrix(values.data(), m, 256, input.stride),
                            prepared.bytes(), Precision::fast);
    linear(*gpu, x, {{.weight = &w.weight, .output = Tensor::matrix(y.data(), m, 100)}});
    CUDA_CHECK(cudaStreamEndCapture(gpu->stream(), &graph));
    CUDA_CHECK(cudaGraphInstantiate(&program, graph, 0));
    for (int i = 0; i < 3; ++i) CUDA_CHECK(cudaGraphLaunch(program, gpu->stream()));
    EXPECT_TRUE(same_bits(y.read(), expected)) << m;
    cudaGraphExecDestroy(program);
    cudaGraphDestroy(graph);
  }
}

}  // namespace
}  // namespace shoehorn
