// Weights of which a part lies in host memory and the others in a file, from where they come ahead
// of the layers that read them.
#pragma once

#include <memory>
#include <vector>

#include "memory/disk_ring.h"
#include "memory/weight_source.h"

namespace shoehorn {

class DiskWeights final : public WeightSource {
 public:
  struct Parts {
    std::vector<uint64_t> sizes;      // of each block
    std::vector<bool> on_disk;        // of each block
    HostBuffer resident;              // the blocks in memory, one behind the other
    HostBuffer ring;                  // for the others
    std::unique_ptr<DiskQueue> file;  // the others, one behind the other
  };
  explicit DiskWeights(Parts parts);
  // Of each block, where in its place it begins.
  static std::vector<uint64_t> offsets(const std::vector<uint64_t>& sizes,
                                       const std::vector<bool>& on_disk);

  int block_count() const override { return static_cast<int>(parts_.sizes.size()); }
  void prefetch(int block) override;
  Result<Lease> acquire(int block) override;
  std::span<const std::byte> resident() const override { return parts_.resident.bytes(); }
  uint64_t disk_bytes() const override { return disk_bytes_; }

 private:
  void release(int block) override;

  Parts parts_;
  std::vector<uint64_t> offsets_;
  std::vector<int64_t> extents_;  // of each block; -1: in memory
  uint64_t disk_bytes_ = 0;
  std::unique_ptr<DiskRing> ring_;
};

}  // namespace shoehorn
