// Where a VramPool's memory comes from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "memory/range_allocator.h"

namespace shoehorn {

// One range of addresses on the card, parts of which may be shown side by side.
class VramSpace {
 public:
  virtual ~VramSpace() = default;
  virtual std::byte* data() const = 0;
  virtual uint64_t granule_bytes() const = 0;  // 0: cannot join
  // The ranges side by side, from the first one's begin on. Errors: the driver refuses.
  virtual Result<std::byte*> join(const std::vector<Range>& ranges) = 0;
  // Says that no work on the card uses it any more.
  virtual void part(std::byte* joined, const std::vector<Range>& ranges) = 0;
  // Takes some of what was parted out of the card's page tables; a little at each call.
  virtual void tidy() = 0;
};

// By the card's virtual memory, size_bytes in whole granules; null where card or driver have no
// such thing. Errors: no room.
Result<std::unique_ptr<VramSpace>> map_vram(uint64_t size_bytes);

// One plain allocation.
Result<std::unique_ptr<VramSpace>> plain_vram(uint64_t size_bytes);

}  // namespace shoehorn
