#include "plan/measure_machine.h"

#include "base/cache_directory.h"
#include "plan/this_machine.h"

namespace shoehorn {
namespace {

constexpr uint64_t kDiskSampleBytes = uint64_t{256} << 20;

Result<MachineProbe> probe_machine(const HostFacts& host, const std::filesystem::path& directory,
                                   const MeasureOptions& options) {
  constexpr int kParts = 3;
  const auto progress = [&](int done) {
    if (options.progress) options.progress(done, kParts);
  };
  MachineProbe probe;
  probe.host = host;
  progress(0);
  probe.cpu = TRY(probe_cpu(host, {}));
  progress(1);
  std::error_code unusable;  // says so itself when it is written to
  std::filesystem::create_directories(directory, unusable);
  probe.disk_bytes_per_s = measure_disk_read(directory, kDiskSampleBytes);
  progress(2);
  if (gpu_count() == 0) {
    probe.card = fail("{}", why_no_gpu());
  } else {
    ThreadPool pool(probe.cpu.threads, host.cpu.usable_processors);
    probe.card = probe_card(pool, options.gpu);
  }
  progress(kParts);
  return probe;
}

}  // namespace

Result<ThisMachine> this_machine(const MeasureOptions& options) {
  const std::filesystem::path directory =
      options.directory.empty() ? cache_directory() : options.directory;
  const HostFacts host = read_host_facts();
  const MachineKey key = machine_key(host, options.gpu);
  const std::filesystem::path path = machine_cache_path(directory, key);
  ThisMachine found;
  if (!options.again) {
    Result<std::optional<MachineProfile>> kept = load_machine(path, key);
    if (kept.ok() && kept->has_value()) {
      found.profile = std::move(**kept);
      if (!found.profile.has_card()) found.why_no_card = why_no_gpu();
      return found;
    }
    if (!kept.ok()) found.why_measured = kept.error().message;
  }
  const MachineProbe probe = TRY(probe_machine(host, directory, options));
  found.profile = machine_from_probe(probe);
  found.measured = true;
  if (!probe.card) found.why_no_card = probe.card.error().message;
  if (!probe.card && gpu_count() > 0) {
    found.why_not_kept = "the card could not be measured";
  } else if (const Result<void> stored = store_machine(path, key, found.profile); !stored) {
    found.why_not_kept = stored.error().message;
  }
  return found;
}

std::optional<MachineProfile> kept_machine(int gpu) {
  const MachineKey key = machine_key(read_host_facts(), gpu);
  Result<std::optional<MachineProfile>> kept =
      load_machine(machine_cache_path(cache_directory(), key), key);
  if (!kept.ok()) return std::nullopt;
  return std::move(*kept);
}

}  // namespace shoehorn
