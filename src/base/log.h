// Log lines to standard error, for an operator; answers and tables are printed by apps alone.
// The level is info, or what SHOEHORN_LOG says (trace, debug, info, warning, error, off).
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace shoehorn {

enum class LogLevel { debug, info, warning, error };

void log_line(LogLevel level, std::string_view message);

template <typename... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::warning, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace shoehorn
