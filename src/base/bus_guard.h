// Reading a memory map of a file that shrinks, or whose disk fails, raises SIGBUS. Inside a guard
// that is an answer and no end of the process.
//
//   if (!survives_reading([&] { copy(map, target); })) return fail("{}: became shorter ...", path);
#pragma once

namespace shoehorn {

// False: reading failed, and body was left where it stood. So body must own nothing: no locks, no
// objects with destructors. Threads are guarded each by itself; guards nest.
bool survives_reading(void (*body)(const void* context), const void* context);

template <typename Body>
bool survives_reading(const Body& body) {
  return survives_reading([](const void* context) { (*static_cast<const Body*>(context))(); },
                          &body);
}

}  // namespace shoehorn
