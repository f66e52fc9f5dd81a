// Faults on demand: what the world can refuse is refused at a named point and call, so that tests
// walk every failure there is. Compiled in always; where nothing is armed, a point costs one
// relaxed load.
//
//   SHOEHORN_FAULT=vram_allocation:3 shoehorn run ...   the third call is refused
//   SHOEHORN_FAULT=pinning:2+,file_read:1               the second and all later ones; and another
//
// A point stands right before the call that it stands for, which is then not made.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace shoehorn {

enum class FaultPoint : uint8_t {
  host_allocation,  // a HostBuffer
  vram_allocation,  // a GpuBuffer, a pool, a block of it
  vram_mapping,     // joining what is free in a pool to one block
  pinning,
  file_open,
  file_map,
  file_read,
  file_truncated,  // a mapped file whose second half can no longer be read
  disk_write,      // room for a file that is written, and giving it its name
  card_library,    // the card's matrix library
  card_handle,     // opening that library
};
inline constexpr int kFaultPointCount = 11;

// "vram_allocation", as SHOEHORN_FAULT spells it.
const char* name(FaultPoint point);

extern std::atomic<bool> faults_armed;
bool meet_fault(FaultPoint point);  // counts the call; true: it is to fail

inline bool fault(FaultPoint point) {
  return faults_armed.load(std::memory_order_relaxed) && meet_fault(point);
}

// Arms what `text` says and nothing else; "" disarms. "pinning:0" counts and refuses nothing.
// Errors: an unknown point, no number.
Result<void> arm_faults(std::string_view text);
Result<void> arm_faults_from_environment();

// Calls of a point since faults were armed.
int64_t fault_calls(FaultPoint point);

}  // namespace shoehorn
