// The part of base that differs between processor families; the build picks cpu_x86.cc or
// cpu_other.cc.
#pragma once

#include "base/cpu.h"

namespace shoehorn {

// The best level that processor and operating system both support. For amx it also asks the kernel
// for permission to use tiles, which holds for the whole process from then on.
Isa detect_isa();

// Tells the processor that a spin loop is running: 10 to 50 ns.
void spin_pause();

}  // namespace shoehorn
