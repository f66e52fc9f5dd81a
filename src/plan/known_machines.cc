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
  machine.kernel_s = 2.5e-6;
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
      {"kernel_s", "assumed"},
      {"layer_exchange_s", "assumed"},
      {"cpu_read_bytes_per_s", "assumed: what such desktops are reported to reach"},
      {"cpu_read_beside_copy_bytes_per_s", "assumed: what the copies leave of it"},
      {"cpu_linear_flops_per_s", "assumed"},
      {"disk_bytes_per_s", "assumed"}};
  return machine;
}

// A card of the data centre in a shared server, 16 virtual cores of a Sapphire Rapids Xeon. Its
// neighbours take host memory's bandwidth too: from run to run the CPU was seen to read 60 to 118
// GB/s. What `doctor` measured in the run that docs/design/002-plan.md compares with.
MachineProfile measured_server() {
  MachineProfile machine;
  machine.name = "h100-16-cores";
  machine.description = "H100 80 GB, PCIe 5.0 x16; 16 virtual Xeon cores with AMX, 126 GiB";
  machine.vram_bytes = 85017493504;
  machine.vram_bytes_per_s = 2.97e12;
  machine.tensor_flops_per_s = 655e12;
  machine.context_bytes = 586 * kMiB;
  machine.h2d = {{256 * 1024, 33.4e9}, {kMiB, 46.2e9}, {4 * kMiB, 52.1e9}, {64 * kMiB, 54.5e9}};
  machine.d2h = {{256 * 1024, 39.2e9}, {kMiB, 49.6e9}, {4 * kMiB, 53.3e9}, {64 * kMiB, 54.8e9}};
  machine.h2d_beside_read_bytes_per_s = 51.1e9;
  machine.pin_bytes_per_s = 12.9e9;
  machine.kernel_s = 2.48e-6;
  machine.layer_exchange_s = 27.2e-6;
  machine.card_linear = {
      {1, 9437184, 1409e9},   {1, 37748736, 2411e9},    {1, 101449728, 2609e9},
      {4, 9437184, 1422e9},   {4, 37748736, 2387e9},    {4, 101449728, 2555e9},
      {16, 9437184, 1539e9},  {16, 37748736, 2012e9},   {16, 101449728, 1984e9},
      {64, 9437184, 693.1e9}, {64, 37748736, 832.7e9},  {64, 101449728, 819.7e9},
      {96, 9437184, 288.5e9}, {96, 37748736, 265.7e9},  {512, 9437184, 204.9e9},
      {512, 37748736, 217e9}, {2048, 9437184, 84.31e9}, {2048, 37748736, 89.91e9}};
  machine.cores = 16;
  machine.ram_bytes = 135148564480;
  machine.cpu_read = {{1, 9.46e9}, {2, 18.3e9}, {4, 33.7e9}, {8, 50.4e9}, {16, 75.3e9}};
  machine.cpu_read_bytes_per_s = 75.3e9;
  machine.cpu_read_beside_copy_bytes_per_s = 68.9e9;
  machine.cpu_linear_flops_per_s = 4.09e12;
  machine.cpu_linear = {{1, 18874368, 77.34e9}, {2, 18874368, 82.62e9},  {4, 18874368, 77.95e9},
                        {8, 18874368, 56.7e9},  {16, 18874368, 56.89e9}, {32, 18874368, 32.6e9},
                        {64, 18874368, 17.99e9}};
  machine.disk_bytes_per_s = 1.57e9;
  for (const char* field :
       {"vram_bytes", "vram_bytes_per_s", "tensor_flops_per_s", "context_bytes", "h2d", "d2h",
        "h2d_beside_read_bytes_per_s", "pin_bytes_per_s", "kernel_s", "layer_exchange_s",
        "card_linear", "cpu_read", "cpu_read_bytes_per_s", "cpu_read_beside_copy_bytes_per_s",
        "cpu_linear", "cpu_linear_flops_per_s", "disk_bytes_per_s"}) {
    machine.sources[field] = "measured: shoehorn doctor";
  }
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
