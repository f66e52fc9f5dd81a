// The instruction set of the vector ops (all but linear); tests and benchmarks may force a lower
// one.
#pragma once

#include "base/cpu.h"

namespace shoehorn {

// REQUIRES: isa <= cpu_isa(). Not while an op runs.
void set_ops_isa(Isa isa);
Isa ops_isa();

}  // namespace shoehorn
