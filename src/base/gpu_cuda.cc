#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/cuda_check.h"
#include "base/gpu.h"

namespace shoehorn {
namespace {

// The driver's management library, loaded at run time: a machine without a card has none. The few
// declarations are NVML's (its API reference, "nvmlDeviceGetComputeRunningProcesses_v3" and
// others), so that building needs no more than the toolkit's core.
using NvmlDevice = struct NvmlDeviceHandle*;
struct NvmlProcess {
  unsigned pid;
  unsigned long long used_bytes;
  unsigned gpu_instance, compute_instance;
};
struct NvmlMemory {
  unsigned long long total, free, used;
};

class Nvml {
 public:
  Nvml() {
    void* library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    if (library == nullptr) return;
    int (*initialise)() = nullptr;
    usable_ = find(library, "nvmlInit_v2", initialise) &&
              find(library, "nvmlDeviceGetHandleByPciBusId_v2", device_by_bus_) &&
              find(library, "nvmlDeviceGetComputeRunningProcesses_v3", processes_) &&
              find(library, "nvmlDeviceGetMemoryInfo", memory_) && initialise() == 0;
  }
  bool usable() const { return usable_; }
  bool find_device(const char* bus_id, NvmlDevice& device) const {
    return device_by_bus_(bus_id, &device) == 0;
  }
  Result<uint64_t> process_bytes(NvmlDevice device, unsigned pid) const {
    std::vector<NvmlProcess> list(256);
    auto count = static_cast<unsigned>(list.size());
    if (processes_(device, &count, list.data()) != 0) {
      return fail("NVML: the list of processes on the card cannot be read");
    }
    for (unsigned i = 0; i < count; ++i) {
      if (list[i].pid == pid) return uint64_t{list[i].used_bytes};
    }
    // In a PID namespace of its own a process is listed by another number, or not at all; alone on
    // the card, all that is in use is ours.
    NvmlMemory memory = {};
    if (count <= 1 && memory_(device, &memory) == 0) return uint64_t{memory.used};
    return fail("NVML: process {} is not among the {} on the card", pid, count);
  }

 private:
  template <typename Function>
  static bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    return function != nullptr;
  }

  bool usable_ = false;
  int (*device_by_bus_)(const char* bus_id, NvmlDevice* device) = nullptr;
  int (*processes_)(NvmlDevice device, unsigned* count, NvmlProcess* list) = nullptr;
  int (*memory_)(NvmlDevice device, NvmlMemory* memory) = nullptr;
};

const Nvml& nvml() {
  static const Nvml library;
  return library;
}

cudaError_t count_cards(int& count) {
  count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) {
    count = 0;
    cudaGetLastError();
  }
  return status;
}

}  // namespace

int gpu_count() {
  int count = 0;
  count_cards(count);
  return count;
}

std::string why_no_gpu() {
  int count = 0;
  const cudaError_t status = count_cards(count);
  return count == 0 && status == cudaSuccess ? "no card found" : cudaGetErrorString(status);
}

Result<GpuFacts> gpu_facts(int index) {
  const int count = gpu_count();
  if (count == 0) return fail("GPU {}: {}", index, why_no_gpu());
  if (index < 0 || index >= count) {
    return fail("GPU {}: expected a number below {}, the cards found", index, count);
  }
  cudaDeviceProp properties = {};
  TRY(cuda_result(cudaGetDeviceProperties(&properties, index), "the card's properties"));
  GpuFacts facts = {.index = index,
                    .name = properties.name,
                    .compute_capability = properties.major * 10 + properties.minor,
                    .multiprocessors = properties.multiProcessorCount,
                    .total_bytes = properties.totalGlobalMem,
                    .l2_bytes = static_cast<uint64_t>(properties.l2CacheSize)};
  return facts;
}

Result<uint64_t> gpu_process_bytes(int index) {
  if (!nvml().usable()) return fail("NVML: libnvidia-ml.so.1 cannot be used");
  char bus_id[32] = {};
  TRY(cuda_result(cudaDeviceGetPCIBusId(bus_id, sizeof bus_id, index), "the card's bus id"));
  NvmlDevice device = nullptr;
  if (!nvml().find_device(bus_id, device)) return fail("NVML: no card at {}", bus_id);
  return nvml().process_bytes(device, static_cast<unsigned>(getpid()));
}

}  // namespace shoehorn
