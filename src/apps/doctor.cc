// shoehorn doctor: what this machine has, and how fast it is where it matters.

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/command.h"
#include "apps/terminal.h"
#include "base/bytes.h"
#include "memory/host_buffer.h"
#include "plan/card_probe.h"
#include "plan/hardware.h"

namespace shoehorn {
namespace {

struct DoctorOptions {
  std::string directory = ".";
  int gpu = 0;
  bool json = false;
};

struct Bandwidth {
  int threads;
  double bytes_per_s;
};

struct Findings {
  HostFacts host;
  int threads = 0;
  std::vector<Bandwidth> read_bandwidth;  // by threads
  Result<double> disk_bytes_per_s = fail("not measured");
  Result<CardProbe> card = fail("not measured");
};

// A buffer that no cache holds, an eighth of what is free at the most.
uint64_t sample_bytes(const HostFacts& host) {
  return std::min(uint64_t{1} << 30, host.available_memory_bytes / 8);
}

Result<std::vector<Bandwidth>> measure_memory(const Findings& found, ProgressBar& bar) {
  const HostBuffer buffer = TRY(HostBuffer::create(sample_bytes(found.host), "the measurement"));
  std::vector<int> counts;
  for (int threads = 1; threads < found.threads; threads *= 2) counts.push_back(threads);
  counts.push_back(found.threads);
  std::vector<Bandwidth> measured;
  for (const int threads : counts) {
    bar.update(measured.size(), counts.size() + 1);
    ThreadPool pool(threads, found.host.cpu.usable_processors);
    if (measured.empty()) {
      // Untouched pages all read as one page of zeros.
      std::fill(buffer.bytes().begin(), buffer.bytes().end(), std::byte{1});
    }
    measured.push_back({threads, measure_read_bandwidth(pool, buffer.bytes())});
  }
  return measured;
}

Result<Findings> examine(const DoctorOptions& options) {
  Findings found;
  ProgressBar bar("measuring");
  found.host = read_host_facts();
  found.threads = default_thread_count(found.host.cpu);
  found.read_bandwidth = TRY(measure_memory(found, bar));
  found.disk_bytes_per_s = measure_disk_read(options.directory, uint64_t{256} << 20);
  if (gpu_count() == 0) {
    found.card = fail("{}", why_no_gpu());
  } else {
    ThreadPool pool(found.threads, found.host.cpu.usable_processors);
    found.card = probe_card(pool, options.gpu);
  }
  return found;
}

void print_card(const CardProbe& card) {
  std::printf("card          %s, %s, compute capability %.1f, %d multiprocessors\n",
              card.facts.name.c_str(), format_bytes(card.facts.total_bytes).c_str(),
              card.facts.compute_capability / 10.0, card.facts.multiprocessors);
  std::printf("VRAM copy     %.0f GB/s, read and written; %s taken by driver and libraries\n",
              card.vram_bytes_per_s / 1e9, format_bytes(card.context_bytes).c_str());
  for (const CopyRate& rate : card.host_to_card) {
    std::printf("host to card  %.1f GB/s in pieces of %s\n", rate.bytes_per_s / 1e9,
                format_bytes(rate.chunk_bytes).c_str());
  }
  std::printf("card to host  %.1f GB/s\n", card.card_to_host_bytes_per_s / 1e9);
  std::printf("pinning       %.1f GB/s\n", card.pin_bytes_per_s / 1e9);
  std::printf(
      "together      %.1f GB/s read by %d threads beside %.1f GB/s to the card (%.1f alone)\n",
      card.host_read_beside_bytes_per_s / 1e9, card.threads,
      card.host_to_card_beside_bytes_per_s / 1e9, card.host_read_bytes_per_s / 1e9);
}

nlohmann::ordered_json card_json(const CardProbe& card) {
  nlohmann::ordered_json rates = nlohmann::ordered_json::array();
  for (const CopyRate& rate : card.host_to_card) {
    rates.push_back({{"chunk_bytes", rate.chunk_bytes}, {"bytes_per_s", rate.bytes_per_s}});
  }
  return {{"name", card.facts.name},
          {"vram_bytes", card.facts.total_bytes},
          {"compute_capability", card.facts.compute_capability},
          {"multiprocessors", card.facts.multiprocessors},
          {"context_bytes", card.context_bytes},
          {"vram_bytes_per_s", card.vram_bytes_per_s},
          {"host_to_card", rates},
          {"card_to_host_bytes_per_s", card.card_to_host_bytes_per_s},
          {"pin_bytes_per_s", card.pin_bytes_per_s},
          {"threads", card.threads},
          {"host_read_bytes_per_s", card.host_read_bytes_per_s},
          {"host_read_beside_bytes_per_s", card.host_read_beside_bytes_per_s},
          {"host_to_card_beside_bytes_per_s", card.host_to_card_beside_bytes_per_s}};
}

void print_text(const Findings& found, const DoctorOptions& options) {
  const HostFacts& host = found.host;
  std::printf("processor     %s\n", host.cpu.model_name.c_str());
  std::printf("cores         %d physical, %zu usable processors", host.cpu.physical_cores,
              host.cpu.usable_processors.size());
  if (host.cpu.cgroup_cpu_limit > 0) std::printf(", limited to %.1f", host.cpu.cgroup_cpu_limit);
  std::printf("; %d threads by default\n", found.threads);
  std::printf("instructions  %s\n", name(host.isa));
  std::printf("memory        %s, %s available\n", format_bytes(host.memory_bytes).c_str(),
              format_bytes(host.available_memory_bytes).c_str());
  for (const Bandwidth& b : found.read_bandwidth) {
    std::printf("memory read   %.1f GB/s with %d thread%s\n", b.bytes_per_s / 1e9, b.threads,
                b.threads == 1 ? "" : "s");
  }
  if (found.disk_bytes_per_s) {
    std::printf("disk read     %.2f GB/s in %s\n", *found.disk_bytes_per_s / 1e9,
                std::filesystem::absolute(options.directory).lexically_normal().c_str());
  } else {
    std::printf("disk read     not measured: %s\n", found.disk_bytes_per_s.error().message.c_str());
  }
  if (found.card) {
    print_card(*found.card);
  } else {
    std::printf("card          none used: %s\n", found.card.error().message.c_str());
  }
  const double best = found.read_bandwidth.back().bytes_per_s;
  std::printf(
      "\nA model whose weights take 4 GB answers at most %.1f tokens/s here: each token reads them "
      "once.\n",
      best / 4e9);
}

void print_json(const Findings& found) {
  const HostFacts& host = found.host;
  nlohmann::ordered_json json = {{"processor", host.cpu.model_name},
                                 {"physical_cores", host.cpu.physical_cores},
                                 {"usable_processors", host.cpu.usable_processors.size()},
                                 {"cgroup_cpu_limit", host.cpu.cgroup_cpu_limit},
                                 {"default_threads", found.threads},
                                 {"isa", name(host.isa)},
                                 {"memory_bytes", host.memory_bytes},
                                 {"available_memory_bytes", host.available_memory_bytes},
                                 {"read_bandwidth", nlohmann::ordered_json::array()}};
  for (const Bandwidth& b : found.read_bandwidth) {
    json["read_bandwidth"].push_back({{"threads", b.threads}, {"bytes_per_s", b.bytes_per_s}});
  }
  json["disk_read_bytes_per_s"] =
      found.disk_bytes_per_s ? nlohmann::ordered_json(*found.disk_bytes_per_s) : nullptr;
  json["card"] = found.card ? card_json(*found.card) : nlohmann::ordered_json(nullptr);
  std::printf("%s\n", json.dump(2).c_str());
}

Result<void> doctor(const DoctorOptions& options) {
  const Findings found = TRY(examine(options));
  options.json ? print_json(found) : print_text(found, options);
  return {};
}

}  // namespace

Command add_doctor_command(CLI::App& app) {
  CLI::App* parser =
      app.add_subcommand("doctor", "Show what this machine has and measure how fast it is");
  auto options = std::make_shared<DoctorOptions>();
  parser->add_option("--disk", options->directory, "Directory whose disk is measured")
      ->type_name("DIR")
      ->capture_default_str();
  parser->add_option("--gpu", options->gpu, "Number of the card that is measured")
      ->check(CLI::Range(0, 64))
      ->capture_default_str();
  parser->add_flag("--json", options->json, "Print JSON");
  return {parser, [options] { return doctor(*options); }};
}

}  // namespace shoehorn
