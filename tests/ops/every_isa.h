// Runs a check on every instruction set of this machine that the vector ops have a body for.
#pragma once

#include <gtest/gtest.h>

#include "base/random.h"
#include "ops/isa.h"
#include "tensor/tensor.h"

#include <cstring>
#include <vector>

namespace shoehorn {

template <typename Check>
void on_every_isa(const Check& check) {
  const Isa before = ops_isa();
  for (const Isa isa : {Isa::generic, Isa::avx2, Isa::avx512}) {
    if (isa > cpu_isa()) break;
    set_ops_isa(isa);
    SCOPED_TRACE(name(isa));
    check();
  }
  set_ops_isa(before);
}

inline std::vector<float> random_floats(Random& random, int64_t count, float low, float high) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = random.uniform(low, high);
  return values;
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace shoehorn
