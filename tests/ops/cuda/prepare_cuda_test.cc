#include "ops/prepare.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "ops/cuda/linear_parts.h"
#include "ops/rms_norm.h"
#include "ops/swiglu.h"
#include "tensor/dtype.h"
#include "tests/ops/cuda/on_card.h"

namespace shoehorn {
namespace {

std::vector<float> random_values(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = random.uniform(-4.0f, 4.0f);
  return values;
}

template <typename T>
std::vector<T> read_array(const void* from, int64_t count) {
  std::vector<T> values(static_cast<size_t>(count));
  CUDA_CHECK(cudaDeviceSynchronize());
  CUDA_CHECK(cudaMemcpy(values.data(), from, values.size() * sizeof(T), cudaMemcpyDeviceToHost));
  return values;
}

int64_t room(int64_t m) {
  return m <= 8 ? 8 : m <= 16 ? 16 : (m + 31) / 32 * 32;
}

// The prepared rows hold exactly the rounding of linear.h, of these values.
void expect_rounded(const GpuActivationRows& rows, const std::vector<float>& x, int64_t columns) {
  const int64_t m = rows.values.rows();
  ASSERT_EQ(static_cast<int64_t>(x.size()), m * columns);
  ASSERT_EQ(rows.bf16 != nullptr, m > kFewRows);
  if (m > kFewRows) {
    const std::vector<uint16_t> bf16 = read_array<uint16_t>(rows.bf16, m * columns);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(bf16[i], float_to_bf16(x[i])) << i;
  }
  ASSERT_EQ(rows.codes != nullptr, m <= kRoundedRows);
  if (m > kRoundedRows) return;
  const int64_t blocks = (columns + 31) / 32, padded = room(m);
  const auto codes = read_array<int8_t>(rows.codes, blocks * m * 32);
  const auto scales = read_array<float>(rows.scales, blocks * padded);
  const auto block_sums = read_array<float>(rows.block_sums, blocks * padded);
  const auto half_sums = read_array<float>(rows.half_sums, blocks * 2 * padded);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t b = 0; b < blocks; ++b) {
      float largest = 0;
      const auto at = [&](int64_t k) {
        return b * 32 + k < columns ? x[i * columns + b * 32 + k] : 0.0f;
      };
      for (int64_t k = 0; k < 32; ++k) largest = std::max(largest, std::fabs(at(k)));
      const float quotient = largest / 127.0f, scale = quotient < 0x1p-126f ? 0.0f : quotient;
      const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
      int sums[2] = {};
      for (int64_t k = 0; k < 32; ++k) {
        const int code = static_cast<int>(std::nearbyint(at(k) * inverse));
        const int64_t byte = k % 16 / 4 * 8 + k / 16 * 4 + k % 4;
        ASSERT_EQ(codes[(b * m + i) * 32 + byte], code) << "row " << i << " block " << b;
        sums[k / 16] += code;
      }
      ASSERT_EQ(scales[b * padded + i], scale);
      ASSERT_EQ(block_sums[b * padded + i], scale * static_cast<float>(sums[0] + sums[1]));
      ASSERT_EQ(half_sums[b * 2 * padded + i], scale * static_cast<float>(sums[0]));
      ASSERT_EQ(half_sums[(b * 2 + 1) * padded + i], scale * static_cast<float>(sums[1]));
    }
  }
}

class Prepare : public CardTest {
 protected:
  static constexpr int64_t kBatches[] = {1, 3, 8, 17, 64, 65, 129};
  static constexpr int64_t kColumns[] = {1, 7, 32, 100, 2048, 2057, 9000};
};

TEST_F(Prepare, RoundsAsTheContractSays) {
  for (const int64_t m : kBatches) {
    for (const int64_t columns : kColumns) {
      for (const int64_t stride : {columns, columns + 3}) {
        const std::vector<float> buffer = random_values(m * stride, 3);
        std::vector<float> x;
        for (int64_t i = 0; i < m; ++i) {
          x.insert(x.end(), &buffer[i * stride], &buffer[i * stride] + columns);
        }
        const OnCard<float> values(buffer);
        const OnCard<std::byte> prepared(
            static_cast<size_t>(gpu_activation_scratch_bytes(m, columns)));
        expect_rounded(prepare_activations(*gpu, Tensor::matrix(values.data(), m, columns, stride),
                                           prepared.bytes(), Precision::fast),
                       x, columns);
      }
    }
  }
}

// Scales on both sides of 2^-126, below which an inverse would overflow.
TEST_F(Prepare, TinyBlocksRoundToZeros) {
  std::vector<float> x = random_values(4 * 32, 4);
  const float sizes[] = {0x1p-126f * 31, 0x1p-126f * 32, 0x1p-140f, 0.0f};
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::clamp(x[i], -4.0f, 4.0f) * sizes[i / 32];
  for (size_t block = 0; block < 4; ++block) x[block * 32] = 4 * sizes[block];
  const OnCard<float> values(x);
  const OnCard<std::byte> prepared(static_cast<size_t>(gpu_activation_scratch_bytes(1, 128)));
  expect_rounded(prepare_activations(*gpu, Tensor::matrix(values.data(), 1, 128), prepared.bytes(),
                                     Precision::fast),
                 x, 128);
}

TEST_F(Prepare, ScratchForManyRowsHoldsFewer) {
  for (const int64_t columns : kColumns) {
    for (int64_t m = 1; m <= 130; m = m < 66 ? m + 1 : m + 64) {
      EXPECT_GE(gpu_activation_scratch_bytes(130, columns),
                gpu_activation_scratch_bytes(m, columns));
    }
  }
}

TEST_F(Prepare, NormAgreesWithTheProcessorAndIsRounded) {
  ThreadPool pool(1);
  for (const int64_t m : kBatches) {
    for (const int64_t columns : kColumns) {
      std::vector<float> x = random_values(m * columns, 5), weight = random_values(columns, 6);
      std::vector<float> expected(x.size());
      rms_norm(pool, Tensor::matrix(x.data(), m, columns), weight.data(), 1e-5f,
               Tensor::matrix(expected.data(), m, columns));
      const OnCard<float> card_x(x), card_weight(weight), normed(x.size());
      const OnCard<std::byte> prepared(
          static_cast<size_t>(gpu_activation_scratch_bytes(m, columns)));
      const GpuActivationRows rows = norm_and_prepare(
          *gpu, Tensor::matrix(card_x.data(), m, columns), {card_weight.data(), 1e-5f},
          Tensor::matrix(normed.data(), m, columns), prepared.bytes(), Precision::fast);
      const std::vector<float> found = normed.read();
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_NEAR(found[i], expected[i], 2e-6f * std::fabs(expected[i])) << m << " " << columns;
      }
      expect_rounded(rows, found, columns);
    }
  }
}

TEST_F(Prepare, SwigluAgreesWithTheProcessorAndIsRounded) {
  ThreadPool pool(1);
  for (const int64_t m : kBatches) {
    for (const int64_t columns : kColumns) {
      std::vector<float> gate = random_values(m * columns, 8), up = random_values(m * columns, 9);
      gate[0] = -200.0f, gate.back() = 100.0f;
      std::vector<float> expected(gate.size());
      swiglu(pool, Tensor::matrix(gate.data(), m, columns), Tensor::matrix(up.data(), m, columns),
             Tensor::matrix(expected.data(), m, columns));
      const OnCard<float> card_gate(gate), card_up(up);
      const OnCard<std::byte> prepared(
          static_cast<size_t>(gpu_activation_scratch_bytes(m, columns)));
      const Tensor out = Tensor::matrix(card_gate.data(), m, columns);
      const GpuActivationRows rows =
          swiglu_and_prepare(*gpu, out, Tensor::matrix(card_up.data(), m, columns), out,
                             prepared.bytes(), Precision::fast);
      const std::vector<float> found = card_gate.read();
      for (size_t i = 0; i < found.size(); ++i) {
        ASSERT_NEAR(found[i], expected[i], 2e-6f * std::fabs(expected[i]) + 1e-30f);
      }
      expect_rounded(rows, found, columns);
    }
  }
}

TEST_F(Prepare, PreciseModeKeepsTheFloatsAlone) {
  const std::vector<float> x = random_values(3 * 96, 5);
  const OnCard<float> card(x), normed(x.size());
  const GpuActivationRows rows =
      norm_and_prepare(*gpu, Tensor::matrix(card.data(), 3, 96), {card.data(), 1e-6f},
                       Tensor::matrix(normed.data(), 3, 96), {}, Precision::full);
  EXPECT_EQ(rows.codes, nullptr);
  EXPECT_EQ(rows.bf16, nullptr);
  for (const float value : normed.read()) EXPECT_FALSE(std::isnan(value));
}

}  // namespace
}  // namespace shoehorn
