#include "bench/memory/trace_replay.h"

#include <algorithm>
#include <deque>
#include <queue>

#include "base/clock.h"

namespace shoehorn {
namespace {

struct Block {
  int64_t id = 0;
  TraceKind kind = TraceKind::kv;
  uint64_t bytes = 0;
  int64_t begin = 0, steps = 0;
};

std::vector<Block> blocks_of(const ServingTrace& trace, const TraceShape& shape) {
  std::vector<Block> blocks;
  std::unordered_map<int64_t, size_t> by_id;
  for (const TraceEvent& event : trace.events) {
    if (event.takes) {
      by_id[event.id] = blocks.size();
      blocks.push_back({event.id, event.kind, shape.bytes(event.kind, event.amount), event.step});
    } else {
      Block& block = blocks[by_id[event.id]];
      block.steps = event.step - block.begin;
    }
  }
  return blocks;
}

class Replay {
 public:
  Replay(std::vector<Block> blocks, const ReplayOptions& options, TraceMemory& memory)
      : blocks_(std::move(blocks)), options_(options), memory_(memory) {}

  ReplayResult run() {
    size_t next = 0;
    int64_t step = 0, last_sample = -1;
    for (int64_t events = 0; events < options_.most_events; ++events) {
      step = std::max(step, next_step(next));
      bool changed = false;
      while (!ends_.empty() && ends_.top().first <= step) {
        changed |= end(*ends_.top().second);
        ends_.pop();
      }
      while (next < blocks_.size() && blocks_[next].begin <= step)
        waiting_.push_back(&blocks_[next++]);
      changed |= admit(step);
      if (next == blocks_.size() && ends_.empty()) break;  // what still waits never fits
      if (changed && options_.sample_steps > 0 && step >= last_sample + options_.sample_steps) {
        sample(step, next);
        last_sample = step;
      }
    }
    for (; !ends_.empty(); ends_.pop()) memory_.give_back(ends_.top().second->id);
    return std::move(result_);
  }

 private:
  int64_t next_step(size_t next) const {
    int64_t step = INT64_MAX;
    if (next < blocks_.size()) step = blocks_[next].begin;
    if (!ends_.empty()) step = std::min(step, ends_.top().first);
    return step;
  }

  bool take(const Block& block) {
    if (options_.before_call) options_.before_call();
    const Stopwatch clock;
    const bool taken = memory_.take(block.id, block.bytes);
    if (!taken) return false;
    result_.take_us.push_back(clock.seconds() * 1e6);
    live_bytes_ += block.bytes;
    return true;
  }

  bool end(const Block& block) {
    if (options_.before_call) options_.before_call();
    const Stopwatch clock;
    memory_.give_back(block.id);
    result_.give_back_us.push_back(clock.seconds() * 1e6);
    live_bytes_ -= block.bytes;
    return block.kind == TraceKind::kv;
  }

  bool admit(int64_t step) {
    bool changed = false;
    for (; !waiting_.empty(); waiting_.pop_front()) {
      const Block& block = *waiting_.front();
      if (take(block)) {
        changed |= block.kind == TraceKind::kv;
        if (block.kind == TraceKind::kv && step > block.begin) {
          ++result_.late;
          result_.late_steps += step - block.begin;
        }
        ends_.emplace(step + block.steps, &block);
      } else if (block.kind == TraceKind::group) {
        ++result_.refused_groups;
      } else {
        break;
      }
    }
    return changed;
  }

  // What the next sequence asks for: one that waits, else one to come.
  uint64_t next_size(size_t next) const {
    for (const Block* block : waiting_) {
      if (block->kind == TraceKind::kv) return block->bytes;
    }
    for (; next < blocks_.size(); ++next) {
      if (blocks_[next].kind == TraceKind::kv) return blocks_[next].bytes;
    }
    return 0;
  }

  void sample(int64_t step, size_t next) {
    const uint64_t size = next_size(next);
    if (size == 0) return;
    result_.peak_used_bytes = std::max(result_.peak_used_bytes, memory_.used_bytes());
    UnusableSample sample = {.step = step, .free_bytes = options_.budget_bytes - live_bytes_};
    const uint64_t ideal = sample.free_bytes / size;
    uint64_t got = 0;
    while (got < ideal && memory_.take(kProbe - static_cast<int64_t>(got), size)) ++got;
    for (uint64_t i = 0; i < got; ++i) memory_.give_back(kProbe - static_cast<int64_t>(i));
    sample.unusable_bytes = (ideal - got) * size;
    sample.hole_bytes = sample.free_bytes - largest_block(sample.free_bytes);
    result_.samples.push_back(sample);
  }

  uint64_t largest_block(uint64_t free_bytes) {
    const uint64_t known = memory_.largest_block_bytes();
    if (known > 0) return std::min(known, free_bytes);
    uint64_t low = 0, high = free_bytes / options_.probe_step_bytes + 1;  // low can be had
    while (low + 1 < high) {
      const uint64_t middle = (low + high) / 2;
      const bool taken = memory_.take(kProbe, middle * options_.probe_step_bytes);
      if (taken) memory_.give_back(kProbe);
      (taken ? low : high) = middle;
    }
    return low * options_.probe_step_bytes;
  }

  static constexpr int64_t kProbe = -1;  // and below: ids of probes

  struct Later {
    bool operator()(const std::pair<int64_t, const Block*>& a,
                    const std::pair<int64_t, const Block*>& b) const {
      return a.first > b.first;
    }
  };
  const std::vector<Block> blocks_;
  const ReplayOptions& options_;
  TraceMemory& memory_;
  std::deque<const Block*> waiting_;
  std::priority_queue<std::pair<int64_t, const Block*>,
                      std::vector<std::pair<int64_t, const Block*>>, Later>
      ends_;
  uint64_t live_bytes_ = 0;
  ReplayResult result_;
};

}  // namespace

bool InPages::take(int64_t id, uint64_t bytes) {
  const uint64_t pages = bytes % page_bytes_ == 0 ? bytes / page_bytes_ : 1;
  std::vector<int64_t>& taken = blocks_[id];
  while (taken.size() < pages) {
    if (!memory_->take(next_id_, bytes / pages)) {
      give_back(id);
      return false;
    }
    taken.push_back(next_id_++);
  }
  return true;
}

void InPages::give_back(int64_t id) {
  for (const int64_t block : blocks_.at(id)) memory_->give_back(block);
  blocks_.erase(id);
}

uint64_t InPages::largest_block_bytes() {
  std::vector<int64_t> taken;
  while (memory_->take(next_id_, page_bytes_)) taken.push_back(next_id_++);
  for (const int64_t block : taken) memory_->give_back(block);
  return std::max<uint64_t>(taken.size() * page_bytes_, 1);
}

ReplayResult replay(const ServingTrace& trace, const TraceShape& shape,
                    const ReplayOptions& options, TraceMemory& memory) {
  return Replay(blocks_of(trace, shape), options, memory).run();
}

}  // namespace shoehorn
