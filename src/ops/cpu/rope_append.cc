#include "ops/attention.h"

namespace shoehorn {

void rope_and_append(ThreadPool& pool, const KvLayer& layer, const RopeAppendArguments& arguments,
                     std::span<const AttentionSpan> spans) {
  rope(pool, arguments.q, arguments.cosines, arguments.sines, arguments.pairing);
  rope(pool, arguments.k, arguments.cosines, arguments.sines, arguments.pairing);
  kv_append(pool, layer, arguments.k, arguments.v, spans);
}

}  // namespace shoehorn
