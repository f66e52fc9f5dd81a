// What one rendering may use, counted: memory, steps, depth. Every value of a rendering lives in
// its Runtime's arena and is freed with it, so values are plain copies and cycles cannot leak.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result.h"

namespace shoehorn::jinja {

inline constexpr size_t kMaximumTemplateBytes = size_t{1} << 20;
inline constexpr size_t kMaximumOutputBytes = size_t{16} << 20;
inline constexpr size_t kMaximumTextBytes = size_t{16} << 20;     // one string value
inline constexpr size_t kMaximumItems = size_t{1} << 20;          // one list or dict
inline constexpr size_t kMaximumMemoryBytes = size_t{256} << 20;  // all values of one rendering
inline constexpr int64_t kMaximumSteps = 10'000'000;
inline constexpr int64_t kStepsOfMacroCall = 8;  // they cost more than other steps
inline constexpr int kMaximumSyntaxDepth = 200;  // nested statements, or terms of one expression
inline constexpr size_t kMaximumNamedArguments = 1000;
inline constexpr int kMaximumDepth = 600;      // evaluation, macros that call macros included
inline constexpr int kMaximumDataDepth = 200;  // lists in lists

// Hands out bytes that live as long as it does. The limit is soft: what passes it is still given,
// and exhausted() tells the next step to stop, so no single request needs a failure path (each is
// bounded by kMaximumTextBytes or kMaximumItems).
class Arena {
 public:
  explicit Arena(size_t limit_bytes) : limit_bytes_(limit_bytes) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  void* allocate(size_t bytes) {
    bytes = (bytes + 7) & ~size_t{7};
    used_bytes_ += bytes;
    if (bytes > static_cast<size_t>(end_ - next_)) grow(bytes);
    void* result = next_;
    next_ += bytes;
    return result;
  }

  template <typename T, typename... Args>
  T* make(Args&&... args) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= 8);
    return new (allocate(sizeof(T))) T{std::forward<Args>(args)...};
  }

  template <typename T>
  T* array(size_t count) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= 8);
    T* items = static_cast<T*>(allocate(sizeof(T) * count));
    for (size_t i = 0; i < count; ++i) new (items + i) T{};
    return items;
  }

  bool exhausted() const { return used_bytes_ > limit_bytes_; }

 private:
  void grow(size_t bytes);

  size_t limit_bytes_;
  size_t used_bytes_ = 0;
  size_t chunk_bytes_ = size_t{16} << 10;
  std::byte* next_ = nullptr;
  std::byte* end_ = nullptr;
  std::vector<std::unique_ptr<std::byte[]>> chunks_;
};

class Runtime {
 public:
  Arena& arena() { return arena_; }

  // Called once a step, and with more where one step does work in proportion to its data.
  Result<void> charge(int64_t steps = 1) {
    steps_ += steps;
    if (steps_ > kMaximumSteps || arena_.exhausted()) [[unlikely]] {
      return over_limit();
    }
    return {};
  }
  // For work that looks at every character.
  Result<void> charge_bytes(size_t bytes) { return charge(1 + static_cast<int64_t>(bytes / 32)); }
  // For work that looks at every item.
  Result<void> charge_items(size_t items) { return charge(1 + static_cast<int64_t>(items / 16)); }

 private:
  Error over_limit() const;

  Arena arena_{kMaximumMemoryBytes};
  int64_t steps_ = 0;
};

// Counts nested calls while it lives.
class DepthGuard {
 public:
  explicit DepthGuard(int& depth) : depth_(depth) { ++depth_; }
  ~DepthGuard() { --depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  int& depth_;
};

}  // namespace shoehorn::jinja
