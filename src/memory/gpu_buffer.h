// Memory for the card: VRAM, and host memory that the card's copy engine can read by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "memory/host_buffer.h"
#include "memory/vram_budget.h"

namespace shoehorn {

// One run of VRAM on the current card, for the life of its owner.
class GpuBuffer {
 public:
  GpuBuffer() = default;
  // `purpose` names it in errors. Errors: the card has no such room.
  static Result<GpuBuffer> create(uint64_t size_bytes, const char* purpose);
  // Charged to a budget, which outlives the buffer. Errors: the budget, the card.
  static Result<GpuBuffer> create(uint64_t size_bytes, const char* purpose, VramBudget& budget);

  GpuBuffer(GpuBuffer&& other) noexcept;
  GpuBuffer& operator=(GpuBuffer&& other) noexcept;
  ~GpuBuffer();

  std::byte* data() const { return data_; }
  uint64_t size_bytes() const { return size_bytes_; }
  std::span<std::byte> bytes() const { return {data_, size_bytes_}; }

 private:
  std::byte* data_ = nullptr;
  uint64_t size_bytes_ = 0;
  VramBudget* budget_ = nullptr;
};

// Keeps host memory pinned: the card copies from it at full speed, and the kernel never moves it.
// Pages should have been touched before; pinning fresh ones is six times slower.
class Pin {
 public:
  Pin() = default;
  // Errors: the system's limit on locked memory (ulimit -l), or too little RAM.
  static Result<Pin> create(std::span<std::byte> bytes);
  // One more range, on pages of its own. A copy to the card may not cross from one range into
  // another, not even where they are neighbours.
  Result<void> add(std::span<std::byte> bytes);

  Pin(Pin&& other) noexcept : ranges_(std::move(other.ranges_)) { other.ranges_.clear(); }
  Pin& operator=(Pin&& other) noexcept {
    ranges_.swap(other.ranges_);
    return *this;
  }
  ~Pin();

 private:
  std::vector<std::byte*> ranges_;
};

// The address by which the card reads and writes pinned memory, over the bus.
Result<std::byte*> seen_by_card(std::byte* pinned);

}  // namespace shoehorn
