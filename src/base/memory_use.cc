#include "base/memory_use.h"

#include <fstream>
#include <string>

namespace shoehorn {

uint64_t private_memory_bytes() {
  std::ifstream status("/proc/self/status");
  uint64_t kibibytes = 0;
  for (std::string field; status >> field;) {
    uint64_t value = 0;
    if ((field == "RssAnon:" || field == "RssShmem:") && status >> value) kibibytes += value;
    std::getline(status, field);
  }
  return kibibytes * 1024;
}

}  // namespace shoehorn
