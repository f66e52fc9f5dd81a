// WeightSource: where weights come from, so that a layer never asks. Weights are blocks of bytes
// with numbers; what a block means is the models' business.
//
//   source.prefetch(block + 1);                       // start bringing it near, return at once
//   Lease lease = TRY(source.acquire(block));         // waits only if the copy lost the race
//   ... compute with lease.data() ...                 // the bytes stay put until the lease ends
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "memory/host_buffer.h"

namespace shoehorn {

class WeightSource;

// The right to read one block. Ends when destroyed; move-only, so no path can forget to give a
// block back.
class Lease {
 public:
  Lease(WeightSource* source, int block, std::span<const std::byte> bytes)
      : source_(source), block_(block), bytes_(bytes) {}
  Lease(Lease&& other) noexcept
      : source_(std::exchange(other.source_, nullptr)),
        block_(other.block_),
        bytes_(other.bytes_) {}
  Lease& operator=(Lease&&) = delete;
  inline ~Lease();

  const std::byte* data() const { return bytes_.data(); }
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  WeightSource* source_;
  int block_;
  std::span<const std::byte> bytes_;
};

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  virtual int block_count() const = 0;
  virtual void prefetch(int block) = 0;
  // Errors: the block cannot be brought near (a disk read failed).
  virtual Result<Lease> acquire(int block) = 0;
  // Host memory that holds blocks for good.
  virtual std::span<const std::byte> resident() const { return {}; }
  // Bytes of the blocks that are read from disk whenever they are wanted.
  virtual uint64_t disk_bytes() const { return 0; }

 private:
  friend class Lease;
  virtual void release(int block) = 0;
};

Lease::~Lease() {
  if (source_ != nullptr) source_->release(block_);
}

// All blocks in host memory, for good: prefetch and release have nothing to do.
class ResidentWeights final : public WeightSource {
 public:
  // offsets[b] .. offsets[b + 1] bound block b in buffer; one more offset than blocks.
  ResidentWeights(HostBuffer buffer, std::vector<uint64_t> offsets)
      : buffer_(std::move(buffer)), offsets_(std::move(offsets)) {}

  int block_count() const override { return static_cast<int>(offsets_.size()) - 1; }
  void prefetch(int) override {}
  Result<Lease> acquire(int block) override {
    return Lease(this, block,
                 buffer_.bytes().subspan(offsets_[block], offsets_[block + 1] - offsets_[block]));
  }
  std::span<const std::byte> resident() const override { return buffer_.bytes(); }

 private:
  void release(int) override {}
  HostBuffer buffer_;
  std::vector<uint64_t> offsets_;
};

}  // namespace shoehorn
