// shoehorn doctor: what this machine has, and how fast it is where it matters.

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/measured_machine.h"
#include "base/bytes.h"
#include "base/cache_directory.h"
#include "plan/hardware.h"

namespace shoehorn {
namespace {

constexpr uint64_t kDiskSampleBytes = uint64_t{256} << 20;

struct DoctorOptions {
  std::string disk;  // empty: as measured in the cache directory
  int gpu = 0;
  bool again = false;
  bool json = false;
};

struct Findings {
  HostFacts host;
  int threads = 0;
  ThisMachine machine;
  std::string disk;  // the directory whose disk was measured
  Result<double> disk_bytes_per_s = fail("not measured");
};

Result<Findings> examine(const DoctorOptions& options) {
  Findings found;
  found.host = read_host_facts();
  found.threads = default_thread_count(found.host.cpu);
  found.machine = TRY(measured_machine(options.gpu, options.again));
  const MachineProfile& profile = found.machine.profile;
  if (!options.disk.empty()) {
    found.disk = std::filesystem::absolute(options.disk).lexically_normal().string();
    found.disk_bytes_per_s = measure_disk_read(options.disk, kDiskSampleBytes);
  } else {
    found.disk = cache_directory().string();
    const auto source = profile.sources.find("disk_bytes_per_s");
    const bool measured = source != profile.sources.end() && source->second.starts_with("measured");
    found.disk_bytes_per_s =
        measured ? Result<double>(profile.disk_bytes_per_s) : fail("{}", source->second);
  }
  return found;
}

double gigabytes(double bytes_per_s) {
  return bytes_per_s / 1e9;
}

std::string linear_line(const char* name, const LinearRate& rate) {
  const double parameters_per_s = rate.bytes_per_s * 8 / kLinearRateBits;
  return fmt::format("{:<13} {:.1f} GB/s, {:.2f} TFLOP/s: {} row{}, a 4-bit matrix of {}\n", name,
                     gigabytes(rate.bytes_per_s),
                     2 * static_cast<double>(rate.rows) * parameters_per_s / 1e12, rate.rows,
                     rate.rows == 1 ? "" : "s", format_bytes(rate.weight_bytes));
}

void print_card(const MachineProfile& machine) {
  std::printf("card          %s, %s\n", machine.description.c_str(),
              format_bytes(machine.vram_bytes).c_str());
  std::printf("VRAM copy     %.0f GB/s, read and written; %s taken by driver and libraries\n",
              gigabytes(machine.vram_bytes_per_s), format_bytes(machine.context_bytes).c_str());
  const auto copies = [](const char* name, const std::vector<CopyRate>& rates) {
    for (const CopyRate& rate : rates) {
      std::printf("%s  %.1f GB/s in pieces of %s\n", name, gigabytes(rate.bytes_per_s),
                  format_bytes(rate.chunk_bytes).c_str());
    }
  };
  copies("host to card", machine.h2d);
  copies("card to host", machine.d2h);
  std::printf("pinning       %.1f GB/s\n", gigabytes(machine.pin_bytes_per_s));
  std::printf("together      %.1f GB/s read by %d threads beside %.1f GB/s to the card\n",
              gigabytes(machine.cpu_read_beside_copy_bytes_per_s), machine.cores,
              gigabytes(machine.h2d_beside_read_bytes_per_s));
  std::printf("kernel        %.2f us, a small one among others\n", machine.kernel_s * 1e6);
  std::printf("exchange      %.1f us, a row to the CPU and back\n", machine.layer_exchange_s * 1e6);
  for (const LinearRate& rate : machine.card_linear) {
    std::fputs(linear_line("card linear", rate).c_str(), stdout);
  }
}

void print_text(const Findings& found) {
  const HostFacts& host = found.host;
  const MachineProfile& machine = found.machine.profile;
  std::printf("processor     %s\n", host.cpu.model_name.c_str());
  std::printf("cores         %d physical, %zu usable processors", host.cpu.physical_cores,
              host.cpu.usable_processors.size());
  if (host.cpu.cgroup_cpu_limit > 0) std::printf(", limited to %.1f", host.cpu.cgroup_cpu_limit);
  std::printf("; %d threads by default\n", found.threads);
  std::printf("instructions  %s\n", name(host.isa));
  std::printf("memory        %s, %s available\n", format_bytes(host.memory_bytes).c_str(),
              format_bytes(host.available_memory_bytes).c_str());
  for (const ReadRate& rate : machine.cpu_read) {
    std::printf("memory read   %.1f GB/s with %d thread%s\n", gigabytes(rate.bytes_per_s),
                rate.threads, rate.threads == 1 ? "" : "s");
  }
  for (const LinearRate& rate : machine.cpu_linear) {
    std::fputs(linear_line("CPU linear", rate).c_str(), stdout);
  }
  if (found.disk_bytes_per_s) {
    std::printf("disk read     %.2f GB/s in %s\n", gigabytes(*found.disk_bytes_per_s),
                found.disk.c_str());
  } else {
    std::printf("disk read     not measured: %s\n", found.disk_bytes_per_s.error().message.c_str());
  }
  if (machine.has_card()) {
    print_card(machine);
  } else {
    std::printf("card          none used: %s\n", found.machine.why_no_card.c_str());
  }
  if (!found.machine.measured) {
    std::printf("\nMeasured before and kept; `shoehorn doctor --again` measures anew.\n");
  }
  std::printf(
      "\nA model whose weights take 4 GB answers at most %.1f tokens/s on the CPU here: each token "
      "reads them once.\n",
      machine.cpu_read_bytes_per_s / 4e9);
}

void print_json(const Findings& found) {
  const HostFacts& host = found.host;
  const MachineProfile& machine = found.machine.profile;
  nlohmann::ordered_json json = {{"processor", host.cpu.model_name},
                                 {"physical_cores", host.cpu.physical_cores},
                                 {"usable_processors", host.cpu.usable_processors.size()},
                                 {"cgroup_cpu_limit", host.cpu.cgroup_cpu_limit},
                                 {"default_threads", found.threads},
                                 {"isa", name(host.isa)},
                                 {"memory_bytes", host.memory_bytes},
                                 {"available_memory_bytes", host.available_memory_bytes},
                                 {"measured_now", found.machine.measured}};
  json["disk_read_bytes_per_s"] =
      found.disk_bytes_per_s ? nlohmann::ordered_json(*found.disk_bytes_per_s) : nullptr;
  json["machine"] = nlohmann::ordered_json::parse(machine_json(machine));
  std::printf("%s\n", json.dump(2).c_str());
}

Result<void> doctor(const DoctorOptions& options) {
  const Findings found = TRY(examine(options));
  options.json ? print_json(found) : print_text(found);
  return {};
}

}  // namespace

Command add_doctor_command(CLI::App& app) {
  CLI::App* parser =
      app.add_subcommand("doctor",
                         "Show what this machine has and how fast it is\n\n"
                         "Rates are measured once and kept in ~/.cache/shoehorn for as long as the "
                         "machine, its driver\n"
                         "and this program are the same. `plan` and `bench` use them too.");
  auto options = std::make_shared<DoctorOptions>();
  parser
      ->add_option("--disk", options->disk,
                   "Measure the disk of this directory now (default: the cache's, kept)")
      ->type_name("DIR");
  parser->add_option("--gpu", options->gpu, "Number of the card that is measured")
      ->check(CLI::Range(0, 64))
      ->capture_default_str();
  parser->add_flag("--again", options->again, "Measure again, whatever is kept");
  parser->add_flag("--json", options->json,
                   "Print JSON; its \"machine\" is a profile for plan --machine");
  return {parser, [options] { return doctor(*options); }};
}

}  // namespace shoehorn
