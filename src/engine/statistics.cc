#include "engine/statistics.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "models/cost.h"

namespace shoehorn {

double bandwidth_share(const Engine& engine, const SequenceStatistics& statistics, int64_t context,
                       double read_bytes_per_s) {
  if (statistics.generation_steps == 0 || read_bytes_per_s <= 0) return 0;
  const int64_t mean_depth = std::max<int64_t>(0, context - statistics.generation_steps / 2);
  const Cost cost = step_cost(engine.model().config, engine.model().layout,
                              {.depth = mean_depth, .kv_dtype = engine.kv().layer(0).dtype});
  const double steps_per_s =
      static_cast<double>(statistics.generation_steps) / statistics.generation_seconds;
  return cost.bytes * steps_per_s / read_bytes_per_s;
}

double weight_read_bandwidth(ThreadPool& pool, const Engine& engine) {
  constexpr size_t kSampleBytes = size_t{1} << 30;
  const std::span<const std::byte> weights = engine.forward().host_weights();
  if (weights.empty()) return 0;
  return measure_read_bandwidth(pool, weights.first(std::min(kSampleBytes, weights.size())));
}

std::string describe(const Engine& engine, const SequenceStatistics& statistics, int64_t context,
                     double read_bytes_per_s) {
  std::string text =
      fmt::format("prompt {} tokens in {:.2f} s ({:.0f}/s)", statistics.prompt_tokens,
                  statistics.prompt_seconds,
                  static_cast<double>(statistics.prompt_tokens) / statistics.prompt_seconds);
  if (statistics.generation_steps > 0) {
    text += fmt::format(
        "; answer {} tokens at {:.1f}/s", statistics.generation_steps + 1,
        static_cast<double>(statistics.generation_steps) / statistics.generation_seconds);
    const uint64_t vram = engine.forward().vram_bytes();
    const uint64_t disk = engine.forward().weight_bytes().disk;
    if (disk > 0) {
      const double steps_per_s =
          static_cast<double>(statistics.generation_steps) / statistics.generation_seconds;
      text += fmt::format(", {} a step read from disk at {:.2f} GB/s", format_bytes(disk),
                          static_cast<double>(disk) * steps_per_s / 1e9);
      return text;
    }
    text += vram > 0
                ? fmt::format(", {} of VRAM", format_bytes(vram))
                : fmt::format(", {:.0f} % of the memory-bandwidth limit ({:.0f} GB/s)",
                              100 * bandwidth_share(engine, statistics, context, read_bytes_per_s),
                              read_bytes_per_s / 1e9);
  }
  return text;
}

}  // namespace shoehorn
