#include "apps/measured_machine.h"

#include <cstdio>

#include "apps/terminal.h"

namespace shoehorn {

Result<ThisMachine> measured_machine(int gpu, bool again) {
  ProgressBar bar("measuring this machine");
  MeasureOptions options = {.gpu = gpu, .again = again, .directory = {}, .progress = {}};
  options.progress = [&](int done, int all) {
    bar.update(static_cast<uint64_t>(done), static_cast<uint64_t>(all));
  };
  ThisMachine machine = TRY(this_machine(options));
  bar.clear();
  if (!machine.why_measured.empty()) {
    std::fprintf(stderr, "%s: measured again\n", machine.why_measured.c_str());
  } else if (machine.measured && !again) {
    std::fprintf(stderr, "this machine was measured, for the first time with this program\n");
  }
  if (!machine.why_not_kept.empty()) {
    std::fprintf(stderr, "the measurement is not kept: %s\n", machine.why_not_kept.c_str());
  }
  return machine;
}

}  // namespace shoehorn
