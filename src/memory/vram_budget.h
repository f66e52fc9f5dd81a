// VramBudget: how much VRAM a process may take on one card, and what it has taken. Whoever
// allocates there asks it first, so that a budget holds by arithmetic before the driver is asked at
// all. One thread uses it.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/check.h"
#include "base/result.h"

namespace shoehorn {

class VramBudget {
 public:
  explicit VramBudget(uint64_t limit_bytes = 0) : limit_bytes_(limit_bytes) {}

  // Errors: more than is left.
  Result<void> take(uint64_t size_bytes, const char* purpose) {
    if (size_bytes > left_bytes()) {
      return fail("VRAM for {}: expected {}, found {} left of a budget of {}", purpose,
                  format_bytes(size_bytes), format_bytes(left_bytes()), format_bytes(limit_bytes_));
    }
    taken_bytes_ += size_bytes;
    return {};
  }
  void give_back(uint64_t size_bytes) {
    CHECK(size_bytes <= taken_bytes_, "{} bytes given back of {}", size_bytes, taken_bytes_);
    taken_bytes_ -= size_bytes;
  }

  uint64_t limit_bytes() const { return limit_bytes_; }
  uint64_t taken_bytes() const { return taken_bytes_; }
  uint64_t left_bytes() const { return limit_bytes_ - taken_bytes_; }

 private:
  uint64_t limit_bytes_;
  uint64_t taken_bytes_ = 0;
};

}  // namespace shoehorn
