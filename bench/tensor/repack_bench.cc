// Repacking on one thread, for each stored type: bytes of the file a second. Loading a model is
// bounded by this on all threads, or by reading the file; copying memory is the limit beside it.

#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

#include "tensor/repack.h"

namespace shoehorn {
namespace {

constexpr int64_t kRows = 2048;
constexpr int64_t kColumns = 4096;

void repack(benchmark::State& state, StoredType type) {
  // All bytes alike: repacking looks at no value.
  const std::vector<std::byte> file(static_cast<size_t>(stored_bytes(type, kRows, kColumns)),
                                    std::byte{0x35});
  std::vector<std::byte> weight(
      static_cast<size_t>(size_bytes(internal_format(type), kRows, kColumns)));
  const StoredMatrix stored = {type, kRows, kColumns, file.data()};
  for (auto _ : state) {
    repack_rows(stored, 0, kRows, weight.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(file.size()));
}

void copy(benchmark::State& state) {
  const std::vector<std::byte> file(static_cast<size_t>(kRows * kColumns), std::byte{0x35});
  std::vector<std::byte> weight(file.size());
  for (auto _ : state) {
    std::memcpy(weight.data(), file.data(), file.size());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(file.size()));
}

void register_all() {
  benchmark::RegisterBenchmark("copy", copy);
  for (int type = 0; type <= static_cast<int>(StoredType::iq4_xs); ++type) {
    const auto stored = static_cast<StoredType>(type);
    benchmark::RegisterBenchmark((std::string("repack/") + name(stored)).c_str(),
                                 [stored](benchmark::State& state) { repack(state, stored); });
  }
}

}  // namespace
}  // namespace shoehorn

int main(int argc, char** argv) {
  shoehorn::register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
