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

// Walks through x as a lane reads it. Offsets are bytes; they fit 32 bits many times over.
template <class F, int N>
class XReader {
 public:
  __device__ XReader(const FewRowsInput& x, int m)
      : x_(x), m_(m), code_step_(m * 32), scale_step_(x.m_padded * 4) {}

  __device__ void enter_unit(int pass) {
    const int lane = static_cast<int>(threadIdx.x % 32), first = pass * N * 8;
    // Rows past the end are the last one again: their sums go nowhere.
    for (int n = 0; n < N; ++n) {
      rows_[n] = pinned(min(first + n * 8 + lane / 4, m_ - 1) * 32 + lane % 4 * 8);
    }
    column_ = pinned((first + lane % 4 * 2) * 4);
  }
  __device__ void go_to(int block) {
    codes_at_ = block * code_step_;
    scales_at_ = block * scale_step_;
  }

  // The block at hand; then goes to the next one.
  __device__ XBlock<F, N> read() {
    XBlock<F, N> result;
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const auto row = static_cast<uint32_t>(codes_at_ + rows_[n]);
      result.codes[n] = __ldg(reinterpret_cast<const uint2*>(x_.codes + row));
      result.scale[n] = load_pair(x_.scales, scales_at_, n);
      if constexpr (F::kHasMinimum && F::kGroups == 1) {
        result.sum[n] = load_pair(x_.block_sums, scales_at_, n);
      } else if constexpr (F::kHasMinimum) {
        result.sum[2 * n] = load_pair(x_.half_sums, 2 * scales_at_, n);
        result.sum[2 * n + 1] = load_pair(x_.half_sums, 2 * scales_at_ + scale_step_, n);
      }
    }
    codes_at_ += code_step_;
    scales_at_ += scale_step_;
    return result;
  }

 private:
  __device__ float2 load_pair(const float* array, int at, int n) const {
    const auto* bytes = reinterpret_cast<const std::byte*>(array);
    return __ldg(reinterpret_cast<const float2*>(bytes + static_cast<uint32_t>(at + column_)) +
                 n * 4);
  }
  const FewRowsInput& x_;
  int m_, code_step_, scale_step_;
  int rows_[N], column_ = 0, codes_at_ = 0, scales_at_ = 0;
};

}  // namespace shoehorn
