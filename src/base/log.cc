#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>

namespace shoehorn {
namespace {

std::shared_ptr<spdlog::logger> make_logger() {
  auto logger = std::make_shared<spdlog::logger>(
      "shoehorn", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_pattern("%^%l%$: %v");
  const char* level = std::getenv("SHOEHORN_LOG");
  logger->set_level(level ? spdlog::level::from_str(level) : spdlog::level::info);
  return logger;
}

}  // namespace

void log_line(LogLevel level, std::string_view message) {
  static const std::shared_ptr<spdlog::logger> logger = make_logger();
  switch (level) {
    case LogLevel::debug:
      logger->debug("{}", message);
      return;
    case LogLevel::info:
      logger->info("{}", message);
      return;
    case LogLevel::warning:
      logger->warn("{}", message);
      return;
    case LogLevel::error:
      logger->error("{}", message);
      return;
  }
}

}  // namespace shoehorn
