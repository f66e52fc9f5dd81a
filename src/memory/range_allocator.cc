#include "memory/range_allocator.h"

#include <algorithm>
#include <iterator>

#include "base/bytes.h"
#include "base/check.h"

namespace shoehorn {

RangeAllocator::RangeAllocator(const RangeOptions& options) : options_(options) {
  CHECK(options.alignment > 0 && options.granule_bytes % options.alignment == 0,
        "granules of {} bytes, alignment {}", options.granule_bytes, options.alignment);
  statistics_.budget_bytes = options.size_bytes / options.alignment * options.alignment;
  if (statistics_.budget_bytes > 0) insert_free({0, statistics_.budget_bytes});
}

Result<std::vector<Range>> RangeAllocator::take(uint64_t size_bytes, const char* purpose) {
  CHECK(size_bytes > 0, "{}: a block of no bytes", purpose);
  std::vector<Range> ranges;
  if (size_bytes <= statistics_.budget_bytes) {
    const uint64_t size = round_up(size_bytes, options_.alignment);
    const auto fit = free_sizes_.lower_bound({size, 0});
    if (fit != free_sizes_.end()) {
      const bool at_end = size < options_.small_bytes;
      ranges = {{fit->second + (at_end ? fit->first - size : 0), size}};
    } else {
      ranges = join(size);
    }
  }
  if (ranges.empty()) {
    const PoolStatistics now = statistics();
    return fail("{}: expected room for {}, found {} free, the largest block {}, of a budget of {}",
                purpose, format_bytes(size_bytes), format_bytes(now.free_bytes),
                format_bytes(now.largest_block_bytes), format_bytes(now.budget_bytes));
  }
  for (const Range& range : ranges) {
    cut(range);
    statistics_.reserved_bytes += range.size;
  }
  statistics_.asked_bytes += size_bytes;
  statistics_.peak_reserved_bytes =
      std::max(statistics_.peak_reserved_bytes, statistics_.reserved_bytes);
  statistics_.joined_blocks += ranges.size() > 1;
  statistics_.joined_in_all += ranges.size() > 1;
  blocks_[ranges.front().begin] = {ranges, size_bytes};
  return ranges;
}

std::vector<Range> RangeAllocator::give_back(uint64_t begin) {
  const auto found = blocks_.find(begin);
  CHECK(found != blocks_.end(), "no block at {}: given back twice?", begin);
  std::vector<Range> ranges = std::move(found->second.ranges);
  statistics_.asked_bytes -= found->second.asked_bytes;
  blocks_.erase(found);
  statistics_.joined_blocks -= ranges.size() > 1;
  for (const Range& range : ranges) {
    statistics_.reserved_bytes -= range.size;
    insert_free(range);
  }
  return ranges;
}

PoolStatistics RangeAllocator::statistics() const {
  PoolStatistics now = statistics_;
  now.free_bytes = now.budget_bytes - now.reserved_bytes;
  now.largest_free_bytes = free_sizes_.empty() ? 0 : free_sizes_.rbegin()->first;
  now.largest_block_bytes = std::max(now.largest_free_bytes, largest_joined());
  now.blocks = static_cast<int64_t>(blocks_.size());
  now.free_ranges = static_cast<int64_t>(free_.size());
  return now;
}

// Free ranges that reach a multiple of the granule: first the one with the most before it, last the
// one with the most behind its last, and the others between them, the largest first.
std::vector<RangeAllocator::Hole> RangeAllocator::holes() const {
  std::vector<Hole> found;
  const uint64_t granule = options_.granule_bytes;
  if (granule == 0) return found;
  for (auto free = free_sizes_.rbegin(); free != free_sizes_.rend(); ++free) {
    const Range range = {free->second, free->first};
    const uint64_t first = round_up(range.begin, granule), last = range.end() / granule * granule;
    if (first > last) continue;
    found.push_back({range, first - range.begin, last - first, range.end() - last});
  }
  if (found.size() < 2) return found;
  const auto head = std::max_element(found.begin(), found.end(),
                                     [](const Hole& a, const Hole& b) { return a.head < b.head; });
  std::rotate(found.begin(), head, head + 1);
  const auto tail = std::max_element(found.begin() + 1, found.end(),
                                     [](const Hole& a, const Hole& b) { return a.tail < b.tail; });
  std::rotate(tail, tail + 1, found.end());
  return found;
}

// The first piece is the end of the first hole, behind it come whole granules of the next ones, and
// the last piece is the beginning of the last hole that holds what is then left.
std::vector<Range> RangeAllocator::join(uint64_t size_bytes) const {
  const std::vector<Hole> found = holes();
  std::vector<Range> ranges;
  uint64_t left = size_bytes;
  for (size_t i = 0; i < found.size(); ++i) {
    const Hole& hole = found[i];
    for (size_t last = found.size(); i > 0 && last-- > i;) {
      if (found[last].whole + found[last].tail < left) continue;
      ranges.push_back({found[last].range.begin + found[last].head, left});
      return ranges;
    }
    const uint64_t head = i == 0 ? hole.head : 0;
    if (head + hole.whole == 0) continue;
    ranges.push_back({hole.range.begin + hole.head - head, head + hole.whole});
    left -= ranges.back().size;
  }
  return {};
}

// What join() can make at most.
uint64_t RangeAllocator::largest_joined() const {
  const std::vector<Hole> found = holes();
  uint64_t before = 0, most = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    if (i > 0) most = std::max(most, before + found[i].whole + found[i].tail);
    before += found[i].whole + (i == 0 ? found[i].head : 0);
  }
  return most;
}

void RangeAllocator::insert_free(Range range) {
  const auto next = free_.lower_bound(range.begin);
  if (next != free_.end() && next->first == range.end()) {
    const Range behind = {next->first, next->second};
    range.size += behind.size;
    remove_free(behind);
  }
  const auto after = free_.lower_bound(range.begin);
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    const Range in_front = {before->first, before->second};
    if (in_front.end() == range.begin) {
      remove_free(in_front);
      range = {in_front.begin, in_front.size + range.size};
    }
  }
  free_.emplace(range.begin, range.size);
  free_sizes_.emplace(range.size, range.begin);
}

void RangeAllocator::remove_free(Range range) {
  free_.erase(range.begin);
  free_sizes_.erase({range.size, range.begin});
}

void RangeAllocator::cut(Range range) {
  const auto holder = std::prev(free_.upper_bound(range.begin));
  const Range whole = {holder->first, holder->second};
  CHECK(whole.begin <= range.begin && range.end() <= whole.end(), "{} to {} is not free",
        range.begin, range.end());
  remove_free(whole);
  if (whole.begin < range.begin) insert_free({whole.begin, range.begin - whole.begin});
  if (range.end() < whole.end()) insert_free({range.end(), whole.end() - range.end()});
}

}  // namespace shoehorn
