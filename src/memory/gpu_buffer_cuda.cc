#include <utility>

#include "base/bytes.h"
#include "base/cuda_check.h"
#include "base/fault.h"
#include "memory/gpu_buffer.h"

namespace shoehorn {
Result<GpuBuffer> GpuBuffer::create(uint64_t size_bytes, const char* purpose) {
  GpuBuffer buffer;
  if (size_bytes == 0) return buffer;
  void* data = nullptr;
  const cudaError_t status = fault(FaultPoint::vram_allocation) ? cudaErrorMemoryAllocation
                                                                : cudaMalloc(&data, size_bytes);
  if (status != cudaSuccess) {
    cudaGetLastError();  // refused, and no more than that
    size_t free_bytes = 0, total_bytes = 0;
    cudaMemGetInfo(&free_bytes, &total_bytes);
    return fail("VRAM for {}: expected {}, found {} free of {}", purpose, format_bytes(size_bytes),
                format_bytes(free_bytes), format_bytes(total_bytes));
  }
  buffer.data_ = static_cast<std::byte*>(data);
  buffer.size_bytes_ = size_bytes;
  return buffer;
}

Result<GpuBuffer> GpuBuffer::create(uint64_t size_bytes, const char* purpose, VramBudget& budget) {
  TRY(budget.take(size_bytes, purpose));
  Result<GpuBuffer> buffer = create(size_bytes, purpose);
  buffer.ok() ? (void)(buffer->budget_ = &budget) : budget.give_back(size_bytes);
  return buffer;
}

GpuBuffer::GpuBuffer(GpuBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)),
      budget_(std::exchange(other.budget_, nullptr)) {}

GpuBuffer& GpuBuffer::operator=(GpuBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  std::swap(budget_, other.budget_);
  return *this;
}

GpuBuffer::~GpuBuffer() {
  if (data_ != nullptr) cudaFree(data_);
  if (budget_ != nullptr) budget_->give_back(size_bytes_);
}

Result<Pin> Pin::create(std::span<std::byte> bytes) {
  Pin pin;
  TRY(pin.add(bytes));
  return pin;
}

Result<void> Pin::add(std::span<std::byte> bytes) {
  if (bytes.empty()) return {};
  const cudaError_t status =
      fault(FaultPoint::pinning)
          ? cudaErrorMemoryAllocation
          : cudaHostRegister(bytes.data(), bytes.size(), cudaHostRegisterPortable);
  TRY(cuda_result(status, "pinning host memory for the card; is `ulimit -l` too low?"));
  ranges_.push_back(bytes.data());
  return {};
}

Pin::~Pin() {
  for (std::byte* range : ranges_) cudaHostUnregister(range);
}

Result<std::byte*> seen_by_card(std::byte* pinned) {
  void* seen = nullptr;
  TRY(cuda_result(cudaHostGetDevicePointer(&seen, pinned, 0), "pinned memory on the card"));
  return static_cast<std::byte*>(seen);
}

}  // namespace shoehorn
