// CHECK: for what only a bug of ours can break. Always on; prints the values and ends the process.
// What the world can break (files, input, memory) returns a Result instead: see result.h.
#pragma once

#include <fmt/format.h>

#include <string>

namespace shoehorn {

[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& message);

}  // namespace shoehorn

// CHECK(rows % 16 == 0, "rows {}", rows);
#define CHECK(condition, ...)                                                               \
  do {                                                                                      \
    if (!(condition)) [[unlikely]] {                                                        \
      ::shoehorn::check_failed(__FILE__, __LINE__, #condition, ::fmt::format(__VA_ARGS__)); \
    }                                                                                       \
  } while (0)
