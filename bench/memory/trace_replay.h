// Replays a serving trace on some memory. What it does not grant at once waits, first come first
// served as in the scheduler, and lives as long as it would have; a group that finds no room stays
// where it is.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "bench/memory/serving_trace.h"

namespace shoehorn {

// Memory under a budget.
class TraceMemory {
 public:
  virtual ~TraceMemory() = default;
  virtual bool take(int64_t id, uint64_t bytes) = 0;
  virtual void give_back(int64_t id) = 0;
  virtual uint64_t used_bytes() const = 0;  // of the budget, waste included
  // The largest block that can be had, where the memory knows; 0: it does not, and is tried.
  virtual uint64_t largest_block_bytes() { return 0; }
};

// Blocks of whole pages are taken page by page.
class InPages final : public TraceMemory {
 public:
  InPages(std::unique_ptr<TraceMemory> memory, uint64_t page_bytes)
      : memory_(std::move(memory)), page_bytes_(page_bytes) {}
  bool take(int64_t id, uint64_t bytes) override;
  void give_back(int64_t id) override;
  uint64_t used_bytes() const override { return memory_->used_bytes(); }
  uint64_t largest_block_bytes() override;  // what can be had in pages

 private:
  std::unique_ptr<TraceMemory> memory_;
  uint64_t page_bytes_;
  int64_t next_id_ = 1;
  std::unordered_map<int64_t, std::vector<int64_t>> blocks_;
};

struct UnusableSample {
  int64_t step = 0;
  uint64_t free_bytes = 0;      // of the budget, not asked for by anyone who lives
  uint64_t unusable_bytes = 0;  // of them, see ReplayOptions
  uint64_t hole_bytes = 0;      // of them, not in the largest block that can be had
};

struct ReplayOptions {
  uint64_t budget_bytes = 0;
  // A sample each time a cache block comes or goes, at most one in so many steps; 0: none. As many
  // blocks as can be had of the size that the trace asks for next are taken and given back. What is
  // unusable is what a memory without any waste would have given beyond them.
  int64_t sample_steps = 0;
  uint64_t probe_step_bytes = uint64_t{2} << 20;  // how finely the largest block is looked for
  std::function<void()> before_call;              // say, to keep the card busy
  int64_t most_events = INT64_MAX;
};

struct ReplayResult {
  std::vector<double> take_us, give_back_us;
  int64_t late = 0;        // sequences that were admitted later than recorded
  int64_t late_steps = 0;  // by so many steps in all
  int64_t refused_groups = 0;
  uint64_t peak_used_bytes = 0;  // where samples are taken
  std::vector<UnusableSample> samples;
};

ReplayResult replay(const ServingTrace& trace, const TraceShape& shape,
                    const ReplayOptions& options, TraceMemory& memory);

}  // namespace shoehorn
