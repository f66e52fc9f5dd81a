// What a process holds of the machine's memory.
#pragma once

#include <cstdint>

namespace shoehorn {

// Bytes of RAM that are this process's own: neither pages of mapped files nor ones that were never
// touched. Pinned memory counts. 0 where the system does not say.
uint64_t private_memory_bytes();

}  // namespace shoehorn
