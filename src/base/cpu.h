// What the processor offers: instruction sets, and the cores this process may use.
#pragma once

#include <string>
#include <vector>

namespace shoehorn {

// Instruction-set levels that kernels are built for, each including those before it.
//   generic      plain C++, the specification of every op
//   avx2         AVX2, FMA, F16C
//   avx512       AVX-512 F, BW, DQ, VL, VNNI
//   avx512_bf16  avx512 and AVX512_BF16
//   amx          avx512_bf16 and AMX-TILE, AMX-INT8, AMX-BF16, allowed by the operating system
enum class Isa { generic, avx2, avx512, avx512_bf16, amx };

const char* name(Isa isa);

// The best level this machine can run, lowered to what the environment variable SHOEHORN_ISA names.
// Decided once, at the first call; for amx it also asks the kernel for permission to use tiles.
Isa cpu_isa();

struct CpuTopology {
  std::string model_name;              // as /proc/cpuinfo says
  std::vector<int> usable_processors;  // logical CPUs in this process's affinity mask, one per
                                       // physical core first, then their siblings
  int physical_cores = 0;              // among the usable ones
  double cgroup_cpu_limit = 0;         // CPUs granted by cgroup v1 or v2 quotas; 0: no limit
};

CpuTopology read_cpu_topology();

// Threads that compute best: physical cores, at most the cgroup limit rounded down, at least 1.
int default_thread_count(const CpuTopology& topology);

}  // namespace shoehorn
