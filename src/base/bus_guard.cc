#include "base/bus_guard.h"

#include <csetjmp>
#include <csignal>
#include <mutex>

namespace shoehorn {
namespace {

thread_local sigjmp_buf* return_point = nullptr;

// Outside a guard the signal does what it always does: the faulting instruction is run again,
// without us.
void on_bus_error(int signal) {
  if (return_point != nullptr) siglongjmp(*return_point, 1);
  std::signal(signal, SIG_DFL);
}

void install_once() {
  static std::once_flag installed;
  std::call_once(installed, [] {
    struct sigaction action = {};
    action.sa_handler = on_bus_error;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, nullptr);
  });
}

}  // namespace

bool survives_reading(void (*body)(const void* context), const void* context) {
  install_once();
  sigjmp_buf here;
  sigjmp_buf* const outer = return_point;
  if (sigsetjmp(here, 1) != 0) {
    return_point = outer;
    return false;
  }
  return_point = &here;
  body(context);
  return_point = outer;
  return true;
}

}  // namespace shoehorn
