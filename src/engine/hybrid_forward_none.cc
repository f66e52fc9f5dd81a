#include "engine/hybrid_forward.h"

namespace shoehorn {

Result<std::unique_ptr<Forward>> open_on_card(ThreadPool&, const Model&, const Checkpoint&,
                                              const CardRequest& request) {
  return fail("GPU {}: {}", request.gpu, why_no_gpu());
}

}  // namespace shoehorn
