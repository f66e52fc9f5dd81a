#include "base/build_id.h"

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstring>
#include <string_view>

namespace shoehorn {
namespace {

constexpr std::string_view kOwner("GNU\0", 4);

size_t padded(size_t bytes) {
  return (bytes + 3) / 4 * 4;
}

// Of a segment of notes: header, owner, contents, each padded to 4 bytes (System V ABI, "Note
// Section").
std::string id_in_notes(const std::byte* notes, size_t size) {
  for (size_t at = 0; at + sizeof(ElfW(Nhdr)) <= size;) {
    ElfW(Nhdr) header;
    std::memcpy(&header, notes + at, sizeof header);
    const size_t owner = at + sizeof header;
    const size_t contents = owner + padded(header.n_namesz);
    const size_t end = contents + padded(header.n_descsz);
    if (end > size) break;
    if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == kOwner.size() &&
        std::memcmp(notes + owner, kOwner.data(), kOwner.size()) == 0) {
      constexpr std::string_view kDigits = "0123456789abcdef";
      std::string id;
      for (size_t i = 0; i < header.n_descsz; ++i) {
        const auto value = std::to_integer<unsigned>(notes[contents + i]);
        id += kDigits[value / 16];
        id += kDigits[value % 16];
      }
      return id;
    }
    at = end;
  }
  return "";
}

// The first object that the loader lists is the program.
int look_at_program(dl_phdr_info* info, size_t, void* target) {
  auto& id = *static_cast<std::string*>(target);
  for (int i = 0; i < info->dlpi_phnum && id.empty(); ++i) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    if (header.p_type != PT_NOTE) continue;
    id = id_in_notes(reinterpret_cast<const std::byte*>(info->dlpi_addr + header.p_vaddr),
                     header.p_memsz);
  }
  return 1;  // look at no other
}

}  // namespace

std::string build_id() {
  std::string id;
  dl_iterate_phdr(&look_at_program, &id);
  return id;
}

}  // namespace shoehorn
