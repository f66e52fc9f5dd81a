#include "formats/jinja/runtime.h"

#include <algorithm>

namespace shoehorn::jinja {

void Arena::grow(size_t bytes) {
  const size_t size = std::max(bytes, chunk_bytes_);
  chunks_.push_back(std::make_unique_for_overwrite<std::byte[]>(size));
  next_ = chunks_.back().get();
  end_ = next_ + size;
  chunk_bytes_ = std::min(chunk_bytes_ * 2, size_t{1} << 20);
}

Error Runtime::over_limit() const {
  if (arena_.exhausted()) {
    return fail("expected values of at most {} MiB in all, the template makes more",
                kMaximumMemoryBytes >> 20);
  }
  return fail("expected at most {} steps, the template needs more", kMaximumSteps);
}

}  // namespace shoehorn::jinja
