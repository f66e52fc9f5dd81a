#include "base/cpu.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>

#include "base/file.h"

namespace shoehorn {
namespace {

bool kernel_reports(const std::string& cpuinfo, const std::string& flag) {
  const size_t line = cpuinfo.find("\nflags");
  const size_t end = cpuinfo.find('\n', line + 1);
  return line != std::string::npos &&
         (cpuinfo.substr(line, end - line) + " ").find(" " + flag + " ") != std::string::npos;
}

// The kernel lists a flag in /proc/cpuinfo only if it saves the registers that go with it.
TEST(CpuIsa, AgreesWithTheKernel) {
  if (std::getenv("SHOEHORN_ISA") != nullptr) GTEST_SKIP() << "SHOEHORN_ISA is set";
  const Result<std::string> cpuinfo = read_text_file("/proc/cpuinfo");
  if (!cpuinfo || cpuinfo->find("\nflags") == std::string::npos) {
    GTEST_SKIP() << "/proc/cpuinfo lists no flags";
  }
  const auto all = [&](std::initializer_list<const char*> flags) {
    return std::all_of(flags.begin(), flags.end(),
                       [&](const char* flag) { return kernel_reports(*cpuinfo, flag); });
  };
  const bool avx2 = all({"avx2", "fma", "f16c"});
  const bool avx512 = avx2 && all({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"});
  const bool bf16 = avx512 && all({"avx512_bf16"});
  EXPECT_EQ(cpu_isa() >= Isa::avx2, avx2) << name(cpu_isa());
  EXPECT_EQ(cpu_isa() >= Isa::avx512, avx512) << name(cpu_isa());
  EXPECT_EQ(cpu_isa() >= Isa::avx512_bf16, bf16) << name(cpu_isa());
  if (cpu_isa() == Isa::amx) {
    EXPECT_TRUE(all({"amx_tile", "amx_int8", "amx_bf16"}));
  }
}

TEST(CpuIsa, DecidedOnce) {
  const Isa before = cpu_isa();
  const char* set = std::getenv("SHOEHORN_ISA");
  const std::string saved = set == nullptr ? "" : set;
  ::setenv("SHOEHORN_ISA", "generic", 1);
  EXPECT_EQ(cpu_isa(), before);
  set == nullptr ? ::unsetenv("SHOEHORN_ISA") : ::setenv("SHOEHORN_ISA", saved.c_str(), 1);
}

// In a process of its own, since the level is decided once a process.
void exit_with_isa(const char* setting) {
  ::setenv("SHOEHORN_ISA", setting, 1);
  std::exit(static_cast<int>(cpu_isa()));
}

auto exited_with(Isa highest) {  // asked in the parent process only
  return [highest](int status) {
    return WIFEXITED(status) &&
           WEXITSTATUS(status) == static_cast<int>(std::min(cpu_isa(), highest));
  };
}

TEST(CpuIsaDeathTest, LoweredByTheEnvironment) {
  if (std::getenv("SHOEHORN_ISA") != nullptr) GTEST_SKIP() << "SHOEHORN_ISA is set";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(exit_with_isa("generic"), exited_with(Isa::generic), "");
  EXPECT_EXIT(exit_with_isa("avx2"), exited_with(Isa::avx2), "");
  EXPECT_EXIT(exit_with_isa("amx"), exited_with(Isa::amx), "");
  EXPECT_EXIT(exit_with_isa(""), exited_with(Isa::amx), "");
  EXPECT_EXIT(exit_with_isa("sse9"), exited_with(Isa::amx), "SHOEHORN_ISA.*sse9");
}

TEST(CpuIsa, NamesAreDistinct) {
  std::set<std::string> names;
  for (const Isa isa : {Isa::generic, Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::amx}) {
    names.insert(name(isa));
  }
  EXPECT_EQ(names.size(), 5u);
}

TEST(CpuTopology, OfThisMachine) {
  const CpuTopology topology = read_cpu_topology();
  EXPECT_FALSE(topology.model_name.empty());
  EXPECT_GE(topology.physical_cores, 1);
  EXPECT_GE(topology.usable_processors.size(), static_cast<size_t>(topology.physical_cores));
  EXPECT_EQ(topology.usable_processors.size(), std::thread::hardware_concurrency());
  const std::set<int> distinct(topology.usable_processors.begin(),
                               topology.usable_processors.end());
  EXPECT_EQ(distinct.size(), topology.usable_processors.size());
  EXPECT_GE(topology.cgroup_cpu_limit, 0);
}

TEST(DefaultThreadCount, CoresWithinTheLimit) {
  const auto count = [](int cores, double limit) {
    return default_thread_count({.physical_cores = cores, .cgroup_cpu_limit = limit});
  };
  EXPECT_EQ(count(16, 0), 16);
  EXPECT_EQ(count(16, 64), 16);
  EXPECT_EQ(count(16, 8), 8);
  EXPECT_EQ(count(16, 7.9), 7);
  EXPECT_EQ(count(16, 0.5), 1);
  EXPECT_EQ(count(1, 0), 1);
  EXPECT_EQ(count(0, 0), 1);
}

}  // namespace
}  // namespace shoehorn
