// Stands in for the CUDA backend in a build without it.
#include "core/backend.hpp"

namespace fastconv {

const Backend* cuda_backend() { return nullptr; }

}   // namespace fastconv
