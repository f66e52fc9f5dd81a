#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace shoehorn {

void check_failed(const char* file, int line, const char* condition, const std::string& message) {
  std::fprintf(stderr,
               "%s:%d: CHECK(%s) failed: %s\nThis is a bug in Shoehorn; please report it.\n", file,
               line, condition, message.c_str());
  std::abort();
}

}  // namespace shoehorn
