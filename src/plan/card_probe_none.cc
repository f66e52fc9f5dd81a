#include "plan/card_probe.h"

namespace shoehorn {

Result<CardProbe> probe_card(ThreadPool&, int gpu) {
  return fail("GPU {}: {}", gpu, why_no_gpu());
}

}  // namespace shoehorn
