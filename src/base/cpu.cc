#include "base/cpu.h"
