#include "memory/disk_ring.h"

#include <algorithm>

namespace shoehorn {

DiskRing::DiskRing(DiskQueue& file, std::vector<Extent> extents, std::span<std::byte> memory)
    : file_(file), extents_(std::move(extents)), memory_(memory) {
  for (const Extent& extent : extents_) {
    CHECK(extent.bytes > 0 && extent.bytes <= memory.size(), "an extent of {} bytes, a ring of {}",
          extent.bytes, memory.size());
    CHECK(extent.bytes % DiskQueue::kAlignment == 0, "an extent of {} bytes", extent.bytes);
  }
}

DiskRing::~DiskRing() {
  drop();
}

// Where an extent would lie behind the last one, or at the ring's beginning.
bool DiskRing::find_room(uint64_t bytes, uint64_t& begin) const {
  if (entries_.empty()) return begin = 0, true;
  const uint64_t used_from = entries_.front().begin, used_to = entries_.back().end;
  const bool wrapped = entries_.back().begin < used_from;
  begin = used_to;
  if (wrapped) return used_to + bytes <= used_from;
  if (used_to + bytes <= memory_.size()) return true;
  begin = 0;
  return bytes <= used_from;
}

void DiskRing::read_ahead() {
  file_.move_on();
  // No more than a whole round: each extent is in the ring once.
  while (entries_.size() < extents_.size()) {
    const Extent& extent = extents_[static_cast<size_t>(next_read_)];
    uint64_t begin = 0;
    if (!find_room(extent.bytes, begin)) return;
    entries_.push_back({.extent = next_read_,
                        .begin = begin,
                        .end = begin + extent.bytes,
                        .ticket = file_.read(extent.offset, memory_.subspan(begin, extent.bytes))});
    next_read_ = (next_read_ + 1) % extent_count();
  }
}

const DiskRing::Entry* DiskRing::next() const {
  return acquired_ < entries_.size() ? &entries_[acquired_] : nullptr;
}

void DiskRing::expect(int64_t n) {
  CHECK(n >= 0 && n < extent_count(), "extent {} of {}", n, extent_count());
  const Entry* coming = next();
  if ((coming != nullptr ? coming->extent : next_read_) != n) {
    CHECK(acquired_ == 0, "extent {} is wanted while others are acquired", n);
    drop();
    next_read_ = n;
  }
  read_ahead();
}

bool DiskRing::arrived(int64_t n) {
  const Entry* coming = next();
  return coming != nullptr && coming->extent == n && file_.finished(coming->ticket);
}

bool DiskRing::started(int64_t n) const {
  const Entry* coming = next();
  return coming != nullptr && coming->extent == n;
}

Result<const std::byte*> DiskRing::acquire(int64_t n) {
  expect(n);
  CHECK(started(n), "no room for extent {}", n);
  Entry& entry = entries_[acquired_];
  const Result<void> read = file_.wait(entry.ticket);
  if (!read.ok()) {
    // What was acquired before stays; what was read ahead is as doubtful as this.
    for (size_t i = acquired_ + 1; i < entries_.size(); ++i) {
      (void)file_.wait(entries_[i].ticket);
    }
    entries_.resize(acquired_);
    next_read_ = n;
    return read.error();
  }
  entry.state = State::acquired;
  ++acquired_;
  return memory_.data() + entry.begin;
}

void DiskRing::release(int64_t n) {
  const auto last = entries_.begin() + static_cast<std::ptrdiff_t>(acquired_);
  const auto found = std::find_if(entries_.begin(), last, [&](const Entry& entry) {
    return entry.extent == n && entry.state == State::acquired;
  });
  CHECK(found != last, "extent {} is not acquired", n);
  found->state = State::released;
  while (acquired_ > 0 && entries_.front().state == State::released) {
    entries_.pop_front();
    --acquired_;
  }
  read_ahead();
}

// Waits for the reads under way, which write to the ring, and forgets them.
void DiskRing::drop() {
  for (const Entry& entry : entries_) {
    if (entry.state == State::coming) (void)file_.wait(entry.ticket);
  }
  entries_.clear();
  acquired_ = 0;
}

}  // namespace shoehorn
