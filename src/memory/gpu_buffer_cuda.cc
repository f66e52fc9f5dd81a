#include <utility>

#include "base/bytes.h"
#include "base/cuda_check.h"
#include "memory/gpu_buffer.h"

namespace shoehorn {
Result<GpuBuffer> GpuBuffer::create(uint64_t size_bytes, const char* purpose) {
  GpuBuffer buffer;
  if (size_bytes == 0) return buffer;
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, size_bytes);
  if (status != cudaSuccess) {
    size_t free_bytes = 0, total_bytes = 0;
    cudaMemGetInfo(&free_bytes, &total_bytes);
    return fail("VRAM for {}: expected {}, found {} free of {}", purpose, format_bytes(size_bytes),
                format_bytes(free_bytes), format_bytes(total_bytes));
  }
  buffer.data_ = static_cast<std::byte*>(data);
  buffer.size_bytes_ = size_bytes;
  return buffer;
}

GpuBuffer::GpuBuffer(GpuBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

GpuBuffer& GpuBuffer::operator=(GpuBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

GpuBuffer::~GpuBuffer() {
  if (data_ != nullptr) cudaFree(data_);
}

Result<Pin> Pin::create(std::span<std::byte> bytes) {
  Pin pin;
  TRY(pin.add(bytes));
  return pin;
}

Result<void> Pin::add(std::span<std::byte> bytes) {
  if (bytes.empty()) return {};
  TRY(cuda_result(cudaHostRegister(bytes.data(), bytes.size(), cudaHostRegisterPortable),
                  "pinning host memory for the card; is `ulimit -l` too low?"));
  ranges_.push_back(bytes.data());
  return {};
}

Pin::~Pin() {
  for (std::byte* range : ranges_) cudaHostUnregister(range);
}

}  // namespace shoehorn
