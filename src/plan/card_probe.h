// How fast a card and the way to it are, measured: what a plan for it rests on.
#pragma once

#include <cstdint>
#include <vector>

#include "base/gpu.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "plan/card_linear_probe.h"
#include "plan/machine.h"

namespace shoehorn {

struct CardProbe {
  GpuFacts facts;
  uint64_t context_bytes = 0;  // what the driver counts before anything of ours is allocated
  std::vector<CopyRate> host_to_card;  // pinned, by chunk, one stream
  std::vector<CopyRate> card_to_host;
  double vram_bytes_per_s = 0;  // a copy within VRAM, bytes read plus bytes written
  double pin_bytes_per_s = 0;   // of pages touched before
  double exchange_s = 0;        // rows to the host, its threads woken, rows back
  CardLinearProbe linear;
  // Host memory read by `threads` threads, alone, and while copies to the card run; and those
  // copies meanwhile.
  int threads = 0;
  double host_read_bytes_per_s = 0;
  double host_read_beside_bytes_per_s = 0;
  double host_to_card_beside_bytes_per_s = 0;
};

// Takes some seconds, 1 GiB of host memory and 900 MiB of VRAM. Errors: no card; too little memory.
Result<CardProbe> probe_card(ThreadPool& pool, int gpu);

}  // namespace shoehorn
