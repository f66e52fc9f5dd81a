// Descriptor: closes a file descriptor at the end of the scope; a mapping outlives it.
#pragma once

#include <unistd.h>

namespace shoehorn {

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace shoehorn
