// Split: who computes the groups outside VRAM in a step of so many rows, CPU or card.
#pragma once

#include <vector>

#include "engine/hybrid_forward.h"
#include "memory/streamer.h"

namespace shoehorn {

struct Split {
  int64_t max_rows = 1;
  bool all_streamed = false;        // nothing for the CPU: in waves
  double share = 0;                 // streamed, else
  std::vector<GroupCounts> layers;
  Streamer::Schedule schedule;      // the pieces of a step, in order
};

// Steps of different numbers of rows want different splits: the largest of each class.
inline constexpr int64_t kSplitRows[] = {1, 2, 4, 8, 16, 32, 64};

}  // namespace shoehorn
