// Detection by CPUID (Intel SDM volume 2A, CPUID) and XGETBV: a feature counts only if the
// operating system saves its registers.
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "base/cpu_arch.h"

namespace shoehorn {
namespace {

struct Registers {
  uint32_t a = 0, b = 0, c = 0, d = 0;
};

// Zeros where the processor does not know the leaf.
Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d) == 0) return {};
  return r;
}

bool has(uint32_t word, int bit) {
  return ((word >> bit) & 1) != 0;
}

// XCR0: the register states that the operating system saves.
uint64_t enabled_states() {
  uint32_t low = 0;
  uint32_t high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

constexpr uint64_t kAvxState = 0x6;          // XMM, YMM
constexpr uint64_t kAvx512State = 0xE6;      // and opmasks, ZMM
constexpr uint64_t kTileState = 0x6'0000;    // TILECFG, TILEDATA
constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM of asm/prctl.h, Linux 5.16
constexpr long kTileData = 18;               // XFEATURE_XTILEDATA

bool tiles_permitted() {
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

Isa detect_isa() {
  const Registers basic = cpuid(1, 0);
  const bool xsave_enabled = has(basic.c, 27);
  if (!xsave_enabled) return Isa::generic;
  const uint64_t states = enabled_states();
  const auto saved = [&](uint64_t mask) { return (states & mask) == mask; };

  const Registers extended = cpuid(7, 0);
  const bool fma = has(basic.c, 12);
  const bool f16c = has(basic.c, 29);
  const bool avx2 = has(extended.b, 5);
  if (!(fma && f16c && avx2 && saved(kAvxState))) return Isa::generic;

  const bool f = has(extended.b, 16), dq = has(extended.b, 17), bw = has(extended.b, 30),
             vl = has(extended.b, 31), vnni = has(extended.c, 11);
  if (!(f && dq && bw && vl && vnni && saved(kAvx512State))) return Isa::avx2;

  const bool avx512_bf16 = has(cpuid(7, 1).a, 5);
  if (!avx512_bf16) return Isa::avx512;

  const bool tile = has(extended.d, 24), tile_int8 = has(extended.d, 25),
             tile_bf16 = has(extended.d, 22);
  if (!(tile && tile_int8 && tile_bf16 && saved(kTileState) && tiles_permitted())) {
    return Isa::avx512_bf16;
  }
  return Isa::amx;
}

void spin_pause() {
  __builtin_ia32_pause();
}

}  // namespace shoehorn
