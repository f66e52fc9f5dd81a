#include "plan/this_machine.h"

#include <algorithm>

namespace shoehorn {
namespace {

// Products of several rows: measured on cores with AMX and AVX-512; those of AVX2 do about half.
constexpr double kLinearFlopsPerCore = 0.08e12;
constexpr double kTensorFlopsPerMultiprocessor = 0.5 * 512 * 2.5e9;  // GeForce at 2.5 GHz
constexpr double kDataCentreTensorFlops = 0.5 * 4096 * 1.8e9;        // compute capability 8.0, 9.0

// Copies that run beside the CPU's reading, as those of a decode step do, may be slower than alone.
std::vector<CopyRate> beside_reading(const CardProbe& card) {
  double alone = 0;
  for (const auto& rate : card.host_to_card) alone = std::max(alone, rate.bytes_per_s);
  const double beside = card.host_to_card_beside_bytes_per_s;
  const double share = alone > 0 && beside > 0 ? std::min(1.0, beside / alone) : 1;
  std::vector<CopyRate> rates = card.host_to_card;
  for (CopyRate& rate : rates) rate.bytes_per_s *= share;
  return rates;
}

}  // namespace

MachineProfile machine_from_probe(const HostFacts& host, const CardProbe& card,
                                  double disk_bytes_per_s) {
  MachineProfile machine;
  machine.name = "this-machine";
  machine.description = card.facts.name;
  machine.vram_bytes = card.facts.total_bytes;
  machine.vram_bytes_per_s = card.vram_bytes_per_s;
  const bool data_centre =
      card.facts.compute_capability == 80 || card.facts.compute_capability == 90;
  machine.tensor_flops_per_s =
      card.facts.multiprocessors *
      (data_centre ? kDataCentreTensorFlops : kTensorFlopsPerMultiprocessor);
  machine.context_bytes = card.context_bytes;
  machine.h2d = beside_reading(card);
  machine.d2h = {{uint64_t{1} << 22, card.card_to_host_bytes_per_s}};
  machine.layer_exchange_s = 30e-6;
  machine.cores = card.threads;
  machine.ram_bytes = host.memory_bytes;
  machine.cpu_read_bytes_per_s = card.host_read_bytes_per_s;
  machine.cpu_read_beside_copy_bytes_per_s =
      std::min(card.host_read_beside_bytes_per_s, card.host_read_bytes_per_s);
  machine.cpu_linear_flops_per_s = kLinearFlopsPerCore * card.threads;
  machine.disk_bytes_per_s = disk_bytes_per_s > 0 ? disk_bytes_per_s : 1e9;
  machine.sources = {{"vram_bytes", "measured"},
                     {"vram_bytes_per_s", "measured: device copy, read and write together"},
                     {"tensor_flops_per_s", "assumed: from the number of multiprocessors"},
                     {"context_bytes", "measured"},
                     {"h2d", "measured: pinned, beside the CPU's reading"},
                     {"d2h", "measured: pinned"},
                     {"layer_exchange_s", "assumed"},
                     {"cpu_read_bytes_per_s", "measured"},
                     {"cpu_read_beside_copy_bytes_per_s", "measured"},
                     {"cpu_linear_flops_per_s", "assumed: from the number of cores"},
                     {"disk_bytes_per_s", disk_bytes_per_s > 0 ? "measured" : "assumed"}};
  return machine;
}

}  // namespace shoehorn
