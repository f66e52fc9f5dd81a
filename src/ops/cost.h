// What an op costs: the fewest bytes it must move and the operations it must do. Planner,
// benchmarks and metrics all call the ops' own cost functions, so that a speed can always stand
// beside its limit.
#pragma once

namespace shoehorn {

struct Cost {
  double bytes = 0;  // read once + written once
  double flops = 0;  // multiply and add count one each

  Cost operator+(const Cost& other) const { return {bytes + other.bytes, flops + other.flops}; }
  Cost& operator+=(const Cost& other) { return *this = *this + other; }
};

}  // namespace shoehorn
