#include "base/cpu_arch.h"

namespace shoehorn {

Isa detect_isa() {
  return Isa::generic;
}

void spin_pause() {}

}  // namespace shoehorn
