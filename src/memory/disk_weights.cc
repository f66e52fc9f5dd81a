#include "memory/disk_weights.h"

namespace shoehorn {

std::vector<uint64_t> DiskWeights::offsets(const std::vector<uint64_t>& sizes,
                                           const std::vector<bool>& on_disk) {
  std::vector<uint64_t> offsets;
  uint64_t resident_end = 0, disk_end = 0;
  for (size_t block = 0; block < sizes.size(); ++block) {
    uint64_t& end = on_disk[block] ? disk_end : resident_end;
    offsets.push_back(end);
    end += sizes[block];
  }
  return offsets;
}

DiskWeights::DiskWeights(Parts parts)
    : parts_(std::move(parts)), offsets_(offsets(parts_.sizes, parts_.on_disk)) {
  std::vector<DiskRing::Extent> extents;
  for (size_t block = 0; block < parts_.sizes.size(); ++block) {
    const bool on_disk = parts_.on_disk[block];
    extents_.push_back(on_disk ? static_cast<int64_t>(extents.size()) : -1);
    if (!on_disk) continue;
    extents.push_back({.offset = offsets_[block], .bytes = parts_.sizes[block]});
    disk_bytes_ += parts_.sizes[block];
  }
  CHECK(disk_bytes_ > 0 && parts_.file != nullptr, "no block is on disk");
  ring_ = std::make_unique<DiskRing>(*parts_.file, std::move(extents), parts_.ring.bytes());
  ring_->read_ahead();
}

// Reads run ahead by themselves, in the order of blocks.
void DiskWeights::prefetch(int) {
  ring_->read_ahead();
}

Result<Lease> DiskWeights::acquire(int block) {
  const auto b = static_cast<size_t>(block);
  if (extents_[b] < 0) {
    return Lease(this, block, parts_.resident.bytes().subspan(offsets_[b], parts_.sizes[b]));
  }
  const std::byte* bytes = TRY(ring_->acquire(extents_[b]));
  return Lease(this, block, {bytes, parts_.sizes[b]});
}

void DiskWeights::release(int block) {
  const int64_t extent = extents_[static_cast<size_t>(block)];
  if (extent >= 0) ring_->release(extent);
}

}  // namespace shoehorn
