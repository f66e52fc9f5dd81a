#include "models/workspace_body.h"
#include "ops/attention.h"
#include "ops/linear.h"

namespace shoehorn {

template <>
ScratchSizes scratch_sizes<Gpu>() {
  return {.activations = gpu_activation_scratch_bytes,
          .attention = [](const ModelConfig& config, const WorkspaceLimits& limits) {
            return gpu_attention_scratch_bytes(limits.max_rows, config.num_attention_heads,
                                               config.head_dim, limits.max_context);
          }};
}

template uint64_t workspace_bytes<Gpu>(const ModelConfig&, const WorkspaceLimits&);
template Workspace place_workspace<Gpu>(const ModelConfig&, const WorkspaceLimits&,
                                        std::span<std::byte>);

}  // namespace shoehorn
