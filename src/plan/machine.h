// MachineProfile: the rates and sizes of a machine that decide how fast a model runs on it.
//
// A profile is a JSON object with one field for each member below, under the same names; those
// that may be empty or 0 may be left out. And `sources`: for any of these fields a few words on
// where the number comes from ("measured: ...", "datasheet: ...", "assumed: ...").
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace shoehorn {

// A copy's rate by the size of its pieces, ascending.
struct CopyRate {
  uint64_t chunk_bytes = 0;
  double bytes_per_s = 0;
  bool operator==(const CopyRate&) const = default;
};

// The rate at which so many rows are multiplied by a matrix of so many bytes in int4 with a half
// for each 32 columns (4.5 bits a weight), in bytes of the matrix: measured with the real linear
// layer, one launch after the other, each with a matrix that no cache holds.
struct LinearRate {
  int64_t rows = 0;
  uint64_t weight_bytes = 0;
  double bytes_per_s = 0;
  bool operator==(const LinearRate&) const = default;
};
inline constexpr double kLinearRateBits = 4.5;

// DRAM read by so many threads.
struct ReadRate {
  int threads = 0;
  double bytes_per_s = 0;
  bool operator==(const ReadRate&) const = default;
};

struct MachineProfile {
  std::string name;         // "rtx-4090"
  std::string description;  // "RTX 4090 24 GB, PCIe 4.0 x16; 64 GB DDR5-6000"

  // The card; vram_bytes 0: none, and the rest of its fields unused.
  uint64_t vram_bytes = 0;
  double vram_bytes_per_s = 0;             // reading weights
  double tensor_flops_per_s = 0;           // dense bf16, accumulated in f32
  uint64_t context_bytes = 0;              // of VRAM that the driver takes for a process
  std::vector<CopyRate> h2d, d2h;          // pinned memory to the card and back
  double h2d_beside_read_bytes_per_s = 0;  // while all cores read DRAM; 0: as alone
  double pin_bytes_per_s = 0;              // of pages touched before; 0: not known
  double kernel_s = 0;                     // a small kernel between others
  double layer_exchange_s = 0;  // rows handed to the CPU and its results back, once a layer
  // By rows, then bytes, ascending. Empty: as vram_bytes_per_s and tensor_flops_per_s say.
  std::vector<LinearRate> card_linear;

  // The host.
  int cores = 0;
  uint64_t ram_bytes = 0;
  std::vector<ReadRate> cpu_read;               // by threads, ascending; empty: not known
  double cpu_read_bytes_per_s = 0;              // all cores reading DRAM
  double cpu_read_beside_copy_bytes_per_s = 0;  // the same while h2d runs at full rate
  double cpu_linear_flops_per_s = 0;            // quantized products of many rows
  // By rows, all of matrices that no cache holds. Empty: as cpu_read_bytes_per_s and
  // cpu_linear_flops_per_s say.
  std::vector<LinearRate> cpu_linear;
  double disk_bytes_per_s = 0;  // sequential read

  std::map<std::string, std::string> sources;  // by field

  bool has_card() const { return vram_bytes > 0; }
  bool operator==(const MachineProfile&) const = default;
};

// Between two sizes the rate is interpolated over the logarithm of the size; outside, it is the
// nearest one's. 0 where there are no rates.
double rate_at(const std::vector<CopyRate>& rates, uint64_t chunk_bytes);

// Seconds of one product of `rows` rows with a matrix of so many bytes and parameters. Between
// measured sizes and rows, seconds are interpolated. REQUIRES: rates.
double linear_seconds(const std::vector<LinearRate>& rates, double rows, double bytes,
                      double parameters);

// Errors: no JSON, a field that is missing, unknown, of another kind or out of its range; they name
// `source` and the field.
Result<MachineProfile> parse_machine(std::string_view json, std::string_view source);
std::string machine_json(const MachineProfile& machine);

Result<MachineProfile> read_machine(const std::filesystem::path& path);

// The profiles that come with the program.
const std::vector<MachineProfile>& known_machines();

// A known machine by its name, else the file of that path. Errors: neither.
Result<MachineProfile> find_machine(const std::string& name_or_path);

}  // namespace shoehorn
