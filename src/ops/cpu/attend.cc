#include "ops/attend.h"

namespace shoehorn {

ActivationRows attend_and_prepare(ThreadPool& pool, const KvLayer& layer,
                                  const AttendArguments& arguments,
                                  std::span<const AttentionSpan> spans,
                                  const AttendScratch& scratch, Precision precision) {
  rope_and_append(pool, layer, arguments.rope, spans);
  attention(pool, layer, arguments.attention(), spans, scratch.attention);
  return prepare_activations(pool, joined_heads(arguments.out), scratch.activations, precision);
}

}  // namespace shoehorn
