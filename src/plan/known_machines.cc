// Machines for plans without the machine at hand: typical desktops around common cards, and one
// that was measured.
//
// Cards: NVIDIA's product pages and architecture white papers (GA102, AD102, GB202): memory bytes
// and bandwidth, and 512 tensor operations in bf16 with f32 sums a clock and multiprocessor on
// GeForce. Rates that programs reach are assumed to be 0.9 of memory's and half of the tensor
// cores'. PCIe: pinned copies were seen at 25 GB/s on version 4 with 16 lanes and 50 on version 5;
// small ones lose as much of it as on the measured machine. Memory: two channels of DDR5-6000 (96
// GB/s in the data sheet) give stock Ryzen desktops 60 to 64 GB/s, their fabric's limit; two of
// DDR4-3200 (51.2) about 45. Copies take their bytes from the same memory.
#include "plan/machine.h"

namespace shoehorn {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr double kReachedMemory = 0.9;
constexpr double kReachedTensor = 0.5;

std::vector<CopyRate> pcie(double bytes_per_s) {
  return {{256 * 1024, 0.66 * bytes_per_s}, {kMiB, 0.89 * bytes_per_s}, {4 * kMiB, bytes_per_s}};
}

struct Card {
  const char* name;
  const char* text;
  uint64_t gibibytes;
  double gigabytes_per_s;  // data sheet
  double teraflops;        // data sheet
  double pcie_gigabytes_per_s;
};

struct Desktop {
  const char* text;
  uint64_t gibibytes;
  double read_gigabytes_per_s;
  double linear_flops_per_s;
};

constexpr Desktop kDdr4 = {"8 cores, 64 GB of DDR4-3200", 64, 45, 0.5e12};
constexpr Desktop kDdr5 = {"8 cores, 64 GB of DDR5-6000", 64, 62, 1.0e12};

MachineProfile desktop(const Card& card, const Desktop& host) {
  MachineProfile machine;
  machine.name = card.name;
  machine.description = fmt::format("{}; {}", card.text, host.text);
  machine.vram_bytes = card.gibibytes * kGiB;
  machine.vram_bytes_per_s = kReachedMemory * card.gigabytes_per_s * 1e9;
  machine.tensor_flops_per_s = kReachedTensor * card.teraflops * 1e12;
  machine.context_bytes = 400 * kMiB;
  machine.h2d = pcie(card.pcie_gigabytes_per_s * 1e9);
  machine.d2h = machine.h2d;
  machine.layer_exchange_s = 30e-6;
  machine.cores = 8;
  machine.ram_bytes = host.gibibytes * kGiB;
  machine.cpu_read_bytes_per_s = host.read_gigabytes_per_s * 1e9;
  machine.cpu_read_beside_copy_bytes_per_s =
      (host.read_gigabytes_per_s - card.pcie_gigabytes_per_s) * 1e9;
  machine.cpu_linear_flops_per_s = host.linear_flops_per_s;
  machine.disk_bytes_per_s = 5e9;
  machine.sources = {
      {"vram_bytes", "datasheet"},
      {"vram_bytes_per_s", fmt::format("datasheet: 0.9 of {:g} GB/s", card.gigabytes_per_s)},
      {"tensor_flops_per_s", fmt::format("datasheet: half of {:g} TFLOP/s", card.teraflops)},
      {"context_bytes", "assumed"},
      {"h2d", "assumed: the bus's usual rate"},
      {"d2h", "assumed: as h2d"},
      {"layer_exchange_s", "assumed"},
      {"cpu_read_bytes_per_s", "assumed: what such desktops are reported to reach"},
      {"cpu_read_beside_copy_bytes_per_s", "assumed: what the copies leave of it"},
      {"cpu_linear_flops_per_s", "assumed"},
      {"disk_bytes_per_s", "assumed"}};
  return machine;
}

// A card of the data centre in a shared server, 16 virtual cores of a Sapphire Rapids Xeon. Its
// neighbours take host memory's bandwidth too: from run to run the CPU was seen to read 60 to 118
// GB/s. One run's rates, so that they agree with each other: together CPU and copies read 119 GB/s.
MachineProfile measured_server() {
  MachineProfile machine;
  machine.name = "h100-16-cores";
  machine.description = "H100 80 GB, PCIe 5.0 x16; 16 virtual Xeon cores with AMX, 125 GiB";
  machine.vram_bytes = 78 * kGiB;
  machine.vram_bytes_per_s = 2.968e12;
  machine.tensor_flops_per_s = 556e12;
  machine.context_bytes = 586 * kMiB;
  machine.h2d = {{256 * 1024, 35e9}, {kMiB, 47e9}, {4 * kMiB, 53e9}};
  machine.d2h = {{4 * kMiB, 54e9}};
  machine.layer_exchange_s = 45e-6;
  machine.cores = 16;
  machine.ram_bytes = 125 * kGiB;
  machine.cpu_read_bytes_per_s = 118e9;
  machine.cpu_read_beside_copy_bytes_per_s = 66e9;
  machine.cpu_linear_flops_per_s = 1.3e12;
  machine.disk_bytes_per_s = 2e9;
  machine.sources = {{"vram_bytes", "measured: as the driver reports it"},
                     {"vram_bytes_per_s", "measured: device copy, read and write together"},
                     {"tensor_flops_per_s", "measured: 2048 tokens of DeepSeek-LLM-67B in VRAM"},
                     {"context_bytes", "measured"},
                     {"h2d", "measured: pinned, 52 to 54 GB/s"},
                     {"d2h", "measured: pinned"},
                     {"layer_exchange_s", "measured: decoding DeepSeek-LLM-67B in VRAM"},
                     {"cpu_read_bytes_per_s", "measured: 16 threads with prefetches"},
                     {"cpu_read_beside_copy_bytes_per_s", "measured"},
                     {"cpu_linear_flops_per_s", "measured: 4-bit linear layers, 8 and 16 rows"},
                     {"disk_bytes_per_s", "assumed"}};
  return machine;
}

}  // namespace

const std::vector<MachineProfile>& known_machines() {
  static const std::vector<MachineProfile> kMachines = {
      desktop({"rtx-3060-12gb", "RTX 3060 12 GB, PCIe 4.0 x16", 12, 360, 25.5, 25}, kDdr4),
      desktop({"rtx-3090", "RTX 3090 24 GB, PCIe 4.0 x16", 24, 936, 71.2, 25}, kDdr4),
      desktop({"rtx-4060-ti-16gb", "RTX 4060 Ti 16 GB, PCIe 4.0 x8", 16, 288, 44.1, 12.5}, kDdr5),
      desktop({"rtx-4070-ti-super", "RTX 4070 Ti Super 16 GB, PCIe 4.0 x16", 16, 672, 88.2, 25},
              kDdr5),
      desktop({"rtx-4080", "RTX 4080 16 GB, PCIe 4.0 x16", 16, 717, 97.5, 25}, kDdr5),
      desktop({"rtx-4090", "RTX 4090 24 GB, PCIe 4.0 x16", 24, 1008, 165.2, 25}, kDdr5),
      desktop({"rtx-5090", "RTX 5090 32 GB, PCIe 5.0 x16", 32, 1792, 209.5, 50}, kDdr5),
      measured_server(),
  };
  return kMachines;
}

}  // namespace shoehorn
