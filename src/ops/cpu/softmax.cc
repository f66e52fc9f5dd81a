#include "ops/softmax.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "ops/cpu/vector_kernels.h"

namespace shoehorn {

void softmax(std::span<const float> x, float temperature, std::span<float> out) {
  CHECK(x.size() == out.size() && temperature > 0, "{} values into {}, temperature {}", x.size(),
        out.size(), temperature);
  const VectorKernels& kernels = vector_kernels();
  const auto n = static_cast<int64_t>(x.size());
  const float shift = kernels.largest(x.data(), n);
  const double sum = kernels.exponentials(x.data(), shift, 1 / temperature, n, out.data());
  kernels.scale(out.data(), static_cast<float>(1 / sum), n);
}

double log_sum_exp(std::span<const float> x) {
  const VectorKernels& kernels = vector_kernels();
  const float shift = kernels.largest(x.data(), static_cast<int64_t>(x.size()));
  if (!std::isfinite(shift)) return static_cast<double>(shift);
  std::array<float, 1024> block;
  double sum = 0;
  for (size_t i = 0; i < x.size(); i += block.size()) {
    const size_t count = std::min(block.size(), x.size() - i);
    sum +=
        kernels.exponentials(x.data() + i, shift, 1.0f, static_cast<int64_t>(count), block.data());
  }
  return static_cast<double>(shift) + std::log(sum);
}

int32_t argmax(std::span<const float> x) {
  CHECK(!x.empty(), "argmax of nothing");
  const float largest = vector_kernels().largest(x.data(), static_cast<int64_t>(x.size()));
  const auto found = std::find(x.begin(), x.end(), largest);
  return found == x.end() ? 0 : static_cast<int32_t>(found - x.begin());
}

Cost softmax_cost(int64_t n) {
  const auto numbers = static_cast<double>(n);
  return {.bytes = 8 * numbers, .flops = 5 * numbers};  // exp counts one
}

}  // namespace shoehorn
