#include "engine/host_weights.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/log.h"
#include "memory/disk_weights.h"
#include "memory/spill_file.h"

namespace shoehorn {
namespace {

bool is_on_disk(const ModelLayout& layout, const RamPlan& plan, int block) {
  if (block >= layout.embedding_block()) return false;
  const auto layer = static_cast<size_t>(layout.blocks[block].layer);
  return block == layout.attention_block(static_cast<int64_t>(layer))
             ? plan.attention_on_disk[layer]
             : plan.disk_groups[layer] > 0;
}

// Blocks in memory are written in place; the others to parts of the ring in turn, and from there to
// disk while the next ones are repacked.
class DiskSink final : public WeightSink {
 public:
  DiskSink(DiskWeights::Parts& parts, uint64_t largest) : parts_(parts), largest_(largest) {}

  Result<BlockTarget> begin(int block) override {
    const auto b = static_cast<size_t>(block);
    if (!parts_.on_disk[b]) {
      return BlockTarget{.far = parts_.resident.data() + offsets_[b]};
    }
    TRY(written(turn_));
    return BlockTarget{.far = staging(turn_)};
  }

  Result<void> end(int block) override {
    const auto b = static_cast<size_t>(block);
    if (!parts_.on_disk[b]) return {};
    tickets_[turn_] = parts_.file->write(offsets_[b], {staging(turn_), parts_.sizes[b]});
    turn_ = (turn_ + 1) % tickets_.size();
    return {};
  }

  Result<void> finish() {
    for (size_t turn = 0; turn < tickets_.size(); ++turn) TRY(written(turn));
    return {};
  }

 private:
  std::byte* staging(size_t turn) const { return parts_.ring.data() + turn * largest_; }

  Result<void> written(size_t turn) {
    const DiskQueue::Ticket ticket = std::exchange(tickets_[turn], 0);
    if (ticket == 0) return {};
    return parts_.file->wait(ticket);
  }

  DiskWeights::Parts& parts_;
  const uint64_t largest_;  // block on disk
  const std::vector<uint64_t> offsets_ = DiskWeights::offsets(parts_.sizes, parts_.on_disk);
  std::array<DiskQueue::Ticket, DiskRing::kExtents> tickets_ = {};  // of each part of the ring
  size_t turn_ = 0;
};

Result<std::unique_ptr<WeightSource>> load_with_disk(ThreadPool& pool, const Checkpoint& checkpoint,
                                                     const ModelLayout& layout, const RamPlan& plan,
                                                     const std::filesystem::path& spill,
                                                     const LoadProgress& progress) {
  DiskWeights::Parts parts;
  uint64_t resident = 0, on_disk = 0, largest = 0;
  for (int b = 0; b < static_cast<int>(layout.blocks.size()); ++b) {
    parts.sizes.push_back(layout.blocks[b].size_bytes);
    parts.on_disk.push_back(is_on_disk(layout, plan, b));
    (parts.on_disk.back() ? on_disk : resident) += parts.sizes.back();
    if (parts.on_disk.back()) largest = std::max(largest, parts.sizes.back());
  }
  parts.file = TRY(create_spill_file(spill, on_disk, {}));
  log_info("{} of weights do not fit into RAM: read from {} in every step", format_bytes(on_disk),
           spill.string());
  parts.resident = TRY(HostBuffer::create(resident, "weights"));
  parts.ring = TRY(HostBuffer::create(DiskRing::kExtents * largest, "weights read from disk"));
  DiskSink sink(parts, largest);
  TRY(load_weights(pool, checkpoint, layout, sink, progress));
  TRY(sink.finish());
  return std::unique_ptr<WeightSource>(std::make_unique<DiskWeights>(std::move(parts)));
}

}  // namespace

Result<std::unique_ptr<WeightSource>> load_host(ThreadPool& pool, const Checkpoint& checkpoint,
                                                const ModelLayout& layout, const RamPlan& plan,
                                                const std::filesystem::path& spill,
                                                const LoadProgress& progress) {
  if (plan.disk == 0) return load_resident(pool, checkpoint, layout, progress);
  return load_with_disk(pool, checkpoint, layout, plan, spill, progress);
}

}  // namespace shoehorn
