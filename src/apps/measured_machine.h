// This machine's profile for a command: kept, or measured now behind a progress bar. What a person
// should know of it (why it was measured again, why it is not kept) goes to standard error.
#pragma once

#include "plan/measure_machine.h"

namespace shoehorn {

Result<ThisMachine> measured_machine(int gpu, bool again = false);

}  // namespace shoehorn
