#include "tensor/repack.h"
