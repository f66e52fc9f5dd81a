// Tests on a card: skip where there is none, and move arrays there and back.
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/cuda_check.h"
#include "ops/gpu.h"

namespace shoehorn {

// An array on the card, filled from the host, or with a poison that no test expects (NaN as float).
template <typename T>
class OnCard {
 public:
  explicit OnCard(size_t count) : count_(count) {
    CUDA_CHECK(
        cudaMalloc(reinterpret_cast<void**>(&data_), std::max<size_t>(count * sizeof(T), 1)));
    CUDA_CHECK(cudaMemset(data_, 0xFF, count * sizeof(T)));
    CUDA_CHECK(cudaDeviceSynchronize());  // the card's own stream does not wait for these copies
  }
  explicit OnCard(std::span<const T> values) : OnCard(values.size()) {
    CUDA_CHECK(cudaMemcpy(data_, values.data(), values.size_bytes(), cudaMemcpyHostToDevice));
    CUDA_CHECK(cudaDeviceSynchronize());
  }
  explicit OnCard(const std::vector<T>& values) : OnCard(std::span<const T>(values)) {}
  OnCard(OnCard&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), count_(other.count_) {}
  ~OnCard() { cudaFree(data_); }

  T* data() const { return data_; }
  size_t size() const { return count_; }
  std::span<std::byte> bytes() const {
    return {reinterpret_cast<std::byte*>(data_), count_ * sizeof(T)};
  }
  std::vector<T> read() const {
    CUDA_CHECK(cudaDeviceSynchronize());
    std::vector<T> values(count_);
    CUDA_CHECK(cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  T* data_ = nullptr;
  size_t count_;
};

// A fixture with an open card and scratch for large products.
class CardTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (gpu_count() == 0) GTEST_SKIP() << why_no_gpu();
    gpu = Gpu::open(0).value();
    scratch = std::make_unique<OnCard<std::byte>>(size_t{64} << 20);
    gpu->set_scratch(scratch->bytes());
  }
  std::unique_ptr<Gpu> gpu;
  std::unique_ptr<OnCard<std::byte>> scratch;
};

}  // namespace shoehorn
