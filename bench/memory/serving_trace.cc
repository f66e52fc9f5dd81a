#include "bench/memory/serving_trace.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <unordered_map>

namespace shoehorn {
namespace {

constexpr const char* kKinds[] = {"kv", "work", "group"};

bool parse_event(const std::string& line, TraceEvent& event) {
  std::istringstream words(line);
  std::string sign, kind;
  if (!(words >> event.step >> sign >> event.id) || (sign != "+" && sign != "-")) return false;
  event.takes = sign == "+";
  if (event.takes) {
    if (!(words >> kind >> event.amount) || event.amount <= 0) return false;
    const auto found = std::find(std::begin(kKinds), std::end(kKinds), kind);
    if (found == std::end(kKinds)) return false;
    event.kind = static_cast<TraceKind>(found - std::begin(kKinds));
  }
  return (words >> std::ws).eof();
}

}  // namespace

Result<ServingTrace> parse_trace(const std::string& text, const std::string& name) {
  ServingTrace trace;
  std::set<int64_t> live;
  std::istringstream lines(text);
  std::string line;
  for (int64_t number = 1; std::getline(lines, line); ++number) {
    if (line.empty() || line.front() == '#') continue;
    TraceEvent event;
    if (!parse_event(line, event)) return fail("{}:{}: no event: {}", name, number, line);
    const bool known = live.contains(event.id);
    if (known == event.takes) {
      return fail("{}:{}: block {} is {}", name, number, event.id,
                  known ? "taken twice" : "given back and was never taken");
    }
    event.takes ? (void)live.insert(event.id) : (void)live.erase(event.id);
    trace.events.push_back(event);
  }
  if (!live.empty()) return fail("{}: block {} is never given back", name, *live.begin());
  return trace;
}

std::string format_event(const TraceEvent& event) {
  if (!event.takes) return fmt::format("{} - {}\n", event.step, event.id);
  return fmt::format("{} + {} {} {}\n", event.step, event.id,
                     kKinds[static_cast<size_t>(event.kind)], event.amount);
}

uint64_t TraceShape::bytes(TraceKind kind, int64_t amount) const {
  switch (kind) {
    case TraceKind::kv:
      return static_cast<uint64_t>((amount + page_tokens - 1) / page_tokens) * page_bytes;
    case TraceKind::work:  // a row's residual stream in f32 and its 8-bit codes
      return static_cast<uint64_t>(amount * hidden_size * 5);
    case TraceKind::group:  // gate, up and down; bits in tenths, scales included
      return static_cast<uint64_t>(3 * group_neurons * hidden_size * amount / 80);
  }
  return 0;
}

TraceShape shape_of_67b() {
  return {.page_bytes = uint64_t{64} * 2 * 95 * 8 * 128 * 2,
          .page_tokens = 64,
          .hidden_size = 8192,
          .group_neurons = 512};
}

uint64_t peak_live_bytes(const ServingTrace& trace, const TraceShape& shape) {
  std::unordered_map<int64_t, uint64_t> live;
  uint64_t sum = 0, peak = 0;
  for (const TraceEvent& event : trace.events) {
    if (event.takes) {
      sum += live[event.id] = shape.bytes(event.kind, event.amount);
      peak = std::max(peak, sum);
    } else {
      sum -= live[event.id];
    }
  }
  return peak;
}

}  // namespace shoehorn
