#include "tensor/stored_type.h"
