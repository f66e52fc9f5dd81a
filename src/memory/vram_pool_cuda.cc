#include "memory/vram_pool.h"

#include <algorithm>

#include "base/cuda_check.h"
#include "base/fault.h"
#include "memory/vram_space.h"

namespace shoehorn {
namespace {

// Between neuron groups and the workspace of a few rows on one side, pages of a large model's cache
// on the other.
constexpr uint64_t kSmallBytes = uint64_t{16} << 20;

}  // namespace

Result<std::unique_ptr<VramPool>> VramPool::create(VramBudget& budget, uint64_t size_bytes,
                                                   bool may_join) {
  TRY(budget.take(size_bytes, "a pool"));
  const auto make_space = [&]() -> Result<std::unique_ptr<VramSpace>> {
    if (may_join) {
      std::unique_ptr<VramSpace> mapped = TRY(map_vram(size_bytes));
      if (mapped != nullptr) return mapped;
    }
    return plain_vram(size_bytes);
  };
  Result<std::unique_ptr<VramSpace>> space = make_space();
  if (!space.ok()) {
    budget.give_back(size_bytes);
    return space.error();
  }
  const uint64_t granule = (*space)->granule_bytes();
  const uint64_t step = granule > 0 ? granule : RangeOptions().alignment;
  const RangeOptions options = {
      .size_bytes = size_bytes / step * step, .granule_bytes = granule, .small_bytes = kSmallBytes};
  budget.give_back(size_bytes - options.size_bytes);
  return std::unique_ptr<VramPool>(new VramPool(budget, std::move(*space), options));
}

VramPool::VramPool(VramBudget& budget, std::unique_ptr<VramSpace> space,
                   const RangeOptions& options)
    : budget_(budget), space_(std::move(space)), ranges_(options) {}

VramPool::~VramPool() {
  CHECK(statistics().blocks == 0, "{} blocks outlive their pool", statistics().blocks);
  for (Pending& pending : pending_) {
    cudaEventSynchronize(pending.done);
    finish(pending);
  }
  for (const cudaEvent_t event : events_) cudaEventDestroy(event);
  budget_.give_back(statistics().budget_bytes);
}

Result<VramBlock> VramPool::allocate(uint64_t size_bytes, cudaStream_t stream,
                                     const char* purpose) {
  collect();
  if (fault(FaultPoint::vram_allocation)) return fail("VRAM for {}: refused on purpose", purpose);
  const std::vector<Range> ranges = TRY(ranges_.take(size_bytes, purpose));
  VramBlock block;
  block.data_ = space_->data() + ranges.front().begin;
  if (ranges.size() > 1) {
    Result<std::byte*> joined = space_->join(ranges);
    if (!joined.ok()) {
      ranges_.give_back(ranges.front().begin);
      return fail("VRAM for {}: {}", purpose, joined.error().message);
    }
    block.data_ = *joined;
    joined_[*joined] = ranges.front().begin;
  }
  wait_for_others(ranges, stream);
  block.pool_ = this;
  block.size_bytes_ = size_bytes;
  block.stream_ = stream;
  return block;
}

// Makes `stream` wait for what other streams may still do with the memory. What is pending behind
// the same stream comes before anything it is given now.
void VramPool::wait_for_others(const std::vector<Range>& ranges, cudaStream_t stream) {
  const auto meets = [&](const Range& old) {
    return std::any_of(ranges.begin(), ranges.end(), [&](const Range& range) {
      return old.begin < range.end() && range.begin < old.end();
    });
  };
  for (const Pending& pending : pending_) {
    if (pending.stream == stream) continue;
    if (std::none_of(pending.ranges.begin(), pending.ranges.end(), meets)) continue;
    CUDA_CHECK(cudaStreamWaitEvent(stream, pending.done));
  }
}

bool VramPool::joins() const {
  return space_->granule_bytes() > 0;
}

void VramPool::give_back(std::byte* data, cudaStream_t stream) {
  const auto joined = joined_.find(data);
  Pending pending = {.stream = stream, .done = take_event()};
  if (joined != joined_.end()) {
    pending.ranges = ranges_.give_back(joined->second);
    pending.joined = data;
    joined_.erase(joined);
  } else {
    pending.ranges = ranges_.give_back(static_cast<uint64_t>(data - space_->data()));
  }
  CUDA_CHECK(cudaEventRecord(pending.done, stream));
  pending_.push_back(std::move(pending));
  collect();
}

void VramPool::collect() {
  for (auto at = pending_.begin(); at != pending_.end();) {
    if (cudaEventQuery(at->done) == cudaErrorNotReady) {
      cudaGetLastError();  // no error, but remembered as one
      ++at;
      continue;
    }
    finish(*at);
    at = pending_.erase(at);
  }
  space_->tidy();
}

void VramPool::finish(Pending& pending) {
  if (pending.joined != nullptr) space_->part(pending.joined, pending.ranges);
  events_.push_back(pending.done);
}

cudaEvent_t VramPool::take_event() {
  cudaEvent_t event = nullptr;
  if (events_.empty()) {
    CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  } else {
    event = events_.back();
    events_.pop_back();
  }
  return event;
}

VramBlock::~VramBlock() {
  if (pool_ != nullptr) pool_->give_back(data_, stream_);
}

}  // namespace shoehorn
