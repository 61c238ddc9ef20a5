#include "core/backend.hpp"

extern "C" const void* fastconv_backend() { return fastconv::cuda_backend(); }
