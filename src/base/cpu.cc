#include "base/cpu.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "base/cpu_arch.h"
#include "base/cpu_topology.h"
#include "base/file.h"
#include "base/log.h"

namespace shoehorn {
namespace {

constexpr std::array<Isa, 5> kLevels = {Isa::generic, Isa::avx2, Isa::avx512, Isa::avx512_bf16,
                                        Isa::amx};

Isa lowered_by_environment(Isa detected) {
  const char* wanted = std::getenv("SHOEHORN_ISA");
  if (wanted == nullptr || *wanted == '\0') return detected;
  for (const Isa level : kLevels) {
    if (std::string_view(wanted) == name(level)) return std::min(detected, level);
  }
  log_warning(
      "SHOEHORN_ISA: expected generic, avx2, avx512, avx512_bf16 or amx, found '{}'; using {}",
      wanted, name(detected));
  return detected;
}

// Logical CPUs this process may run on, in ascending order.
std::vector<int> affinity() {
  std::vector<int> processors;
  for (int capacity = 1024; capacity <= 1 << 20; capacity *= 2) {
    cpu_set_t* set = CPU_ALLOC(capacity);
    if (set == nullptr) break;
    const size_t set_bytes = CPU_ALLOC_SIZE(capacity);
    CPU_ZERO_S(set_bytes, set);
    const int status = ::sched_getaffinity(0, set_bytes, set);
    const bool too_small = status != 0 && errno == EINVAL;
    for (int i = 0; status == 0 && i < capacity; ++i) {
      if (CPU_ISSET_S(i, set_bytes, set)) processors.push_back(i);
    }
    CPU_FREE(set);
    if (!too_small) break;
  }
  if (processors.empty()) {
    const int count = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    for (int i = 0; i < count; ++i) processors.push_back(i);
  }
  return processors;
}

std::string model_name() {
  const Result<std::string> text = read_text_file("/proc/cpuinfo");
  if (!text) return "unknown";
  const size_t field = text->find("model name");
  const size_t colon = text->find(": ", field);
  if (field == std::string::npos || colon == std::string::npos) return "unknown";
  return text->substr(colon + 2, text->find('\n', colon) - colon - 2);
}

}  // namespace

const char* name(Isa isa) {
  switch (isa) {
    case Isa::generic:
      return "generic";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::avx512_bf16:
      return "avx512_bf16";
    case Isa::amx:
      return "amx";
  }
  return "unknown";
}

Isa cpu_isa() {
  static const Isa isa = lowered_by_environment(detect_isa());
  return isa;
}

CpuTopology read_cpu_topology() {
  CoreOrder order = order_by_core("/sys/devices/system/cpu", affinity());
  return {.model_name = model_name(),
          .usable_processors = std::move(order.processors),
          .physical_cores = order.physical_cores,
          .cgroup_cpu_limit = cgroup_cpu_limit("/proc/self/cgroup", "/sys/fs/cgroup")};
}

int default_thread_count(const CpuTopology& topology) {
  int count = topology.physical_cores;
  if (topology.cgroup_cpu_limit > 0) {
    count = std::min(count, static_cast<int>(std::floor(topology.cgroup_cpu_limit)));
  }
  return std::max(count, 1);
}

}  // namespace shoehorn
