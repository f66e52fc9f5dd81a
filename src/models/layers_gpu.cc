#include "models/layers_body.h"

namespace shoehorn {

template void attention_gqa(const StepContext<Gpu>&, const AttentionWeights&, const KvLayer&,
                            const Tensor&);
template PreparedRows<Gpu> feed_forward_norm(const StepContext<Gpu>&, const float*, const Tensor&);
template void neuron_groups(const StepContext<Gpu>&, const PreparedRows<Gpu>&, const GroupTable&,
                            GroupRange, const GroupOutput&);
template Tensor head(const StepContext<Gpu>&, const HeadWeights&, const Tensor&);

}  // namespace shoehorn
