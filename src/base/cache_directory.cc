#include "base/cache_directory.h"

#include <cstdlib>

namespace shoehorn {

std::filesystem::path cache_directory() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache != '\0') return std::filesystem::path(cache) / "shoehorn";
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home != '\0') return std::filesystem::path(home) / ".cache/shoehorn";
  std::error_code unknown;
  return std::filesystem::temp_directory_path(unknown) / "shoehorn";
}

}  // namespace shoehorn
