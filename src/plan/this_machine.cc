#include "plan/this_machine.h"

#include <algorithm>

namespace shoehorn {
namespace {

constexpr double kAssumedDiskBytesPerS = 1e9;

void take_card(const CardProbe& card, MachineProfile& machine) {
  machine.description = card.facts.name;
  machine.vram_bytes = card.facts.total_bytes;
  machine.vram_bytes_per_s = card.vram_bytes_per_s;
  machine.tensor_flops_per_s = card.linear.flops_per_s;
  machine.context_bytes = card.context_bytes;
  machine.h2d = card.host_to_card;
  machine.d2h = card.card_to_host;
  machine.h2d_beside_read_bytes_per_s = card.host_to_card_beside_bytes_per_s;
  machine.pin_bytes_per_s = card.pin_bytes_per_s;
  machine.kernel_s = card.linear.kernel_s;
  machine.layer_exchange_s = card.exchange_s;
  machine.card_linear = card.linear.rates;
  machine.sources = {{"vram_bytes", "measured: as the driver reports it"},
                     {"vram_bytes_per_s", "measured: device copy, read and write together"},
                     {"tensor_flops_per_s", "measured: 4-bit linear layer, 2048 rows"},
                     {"context_bytes", "measured"},
                     {"h2d", "measured: pinned"},
                     {"d2h", "measured: pinned"},
                     {"h2d_beside_read_bytes_per_s", "measured: pieces of 32 MiB"},
                     {"pin_bytes_per_s", "measured: pages touched before"},
                     {"kernel_s", "measured: norms of one row, in a graph"},
                     {"layer_exchange_s", "measured: a row to the host, threads woken, a row back"},
                     {"card_linear", "measured: 4-bit linear layers"}};
}

}  // namespace

MachineProfile machine_from_probe(const MachineProbe& probe) {
  MachineProfile machine;
  machine.name = "this-machine";
  machine.description = "no card";
  if (probe.card) take_card(*probe.card, machine);
  machine.description +=
      fmt::format("; {}, {} threads", probe.host.cpu.model_name, probe.cpu.threads);
  machine.cores = probe.cpu.threads;
  machine.ram_bytes = probe.host.memory_bytes;
  machine.cpu_read = probe.cpu.read;
  machine.cpu_read_bytes_per_s = probe.cpu.read.back().bytes_per_s;
  machine.cpu_read_beside_copy_bytes_per_s = machine.cpu_read_bytes_per_s;
  if (probe.card) {
    // Measured again beside copies, on the same buffer: their relation is what holds.
    const double share =
        probe.card->host_read_beside_bytes_per_s / probe.card->host_read_bytes_per_s;
    machine.cpu_read_beside_copy_bytes_per_s *= std::clamp(share, 0.01, 1.0);
  }
  machine.cpu_linear = probe.cpu.linear;
  for (const LinearRate& rate : probe.cpu.linear) {
    const double parameters_per_s = rate.bytes_per_s * 8 / kLinearRateBits;
    machine.cpu_linear_flops_per_s = std::max(
        machine.cpu_linear_flops_per_s, 2 * static_cast<double>(rate.rows) * parameters_per_s);
  }
  const Result<double>& disk = probe.disk_bytes_per_s;
  machine.disk_bytes_per_s = disk ? *disk : kAssumedDiskBytesPerS;
  machine.sources["cpu_read"] = "measured";
  machine.sources["cpu_read_bytes_per_s"] = "measured: all threads";
  machine.sources["cpu_read_beside_copy_bytes_per_s"] =
      probe.card ? "measured" : "assumed: there is no card";
  machine.sources["cpu_linear"] = "measured: 4-bit linear layers";
  machine.sources["cpu_linear_flops_per_s"] = "measured: the best of cpu_linear";
  machine.sources["disk_bytes_per_s"] =
      disk ? "measured: past the page cache" : "assumed: " + disk.error().message;
  return machine;
}

}  // namespace shoehorn
