// The activations of linear_few_rows.cuh in a lane's registers.
#pragma once

#include "ops/cuda/linear_units.cuh"

namespace shoehorn {

// A lane's B fragments, and scales and sums for its columns of C, for one block of x.
template <class F, int N>
struct XBlock {
  uint2 codes[N];
  float2 scale[N];
  float2 sum[F::kHasMinimum ? N * F::kGroups : 1];
};

// Walks through x as a lane reads it. Rows of a tile that x does not have are its last one again,
// or, where there are several tiles, whatever lies there: their sums go nowhere. (Behind codes lie
// scales and sums, so there is something.)
template <class F, int N>
class XReader {
 public:
  __device__ XReader(const FewRowsInput& x, int m) : x_(x), m_(m), code_step_(m * 32) {}

  __device__ void go_to(int pass, int block) {
    const int lane = static_cast<int>(threadIdx.x % 32), first = pass * N * 8;
    const auto* codes = reinterpret_cast<const std::byte*>(x_.codes);
    const int row = N == 1 ? min(lane / 4, m_ - 1) : first + lane / 4;
    codes_ = codes + (block * code_step_ + row * 32 + lane % 4 * 8);
    const int column = first + lane % 4 * 2;
    scales_ = x_.scales + (block * scale_step() + column);
    if constexpr (F::kHasMinimum) {
      sums_ = (F::kGroups == 1 ? x_.block_sums : x_.half_sums) +
              (F::kGroups * block * scale_step() + column);
    }
  }

  // The block at hand; then goes to the next one.
  __device__ XBlock<F, N> read() {
    XBlock<F, N> result;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      result.codes[n] = __ldg(reinterpret_cast<const uint2*>(codes_ + n * 256));
      result.scale[n] = __ldg(reinterpret_cast<const float2*>(scales_ + n * 8));
      if constexpr (F::kHasMinimum) {
        for (int g = 0; g < F::kGroups; ++g) {
          result.sum[n * F::kGroups + g] =
              __ldg(reinterpret_cast<const float2*>(sums_ + g * scale_step() + n * 8));
        }
      }
    }
    codes_ += code_step_;
    scales_ += scale_step();
    if constexpr (F::kHasMinimum) sums_ += F::kGroups * scale_step();
    return result;
  }

 private:
  // Floats from a block's scales to the next one's.
  __device__ int scale_step() const {
    return N == 1 ? 8 : x_.m_padded;
  }
  const FewRowsInput& x_;
  int m_, code_step_;
  const std::byte* codes_ = nullptr;
  const float *scales_ = nullptr, *sums_ = nullptr;
};

}  // namespace shoehorn
