#include "backend.hpp"

#include <stdexcept>

namespace fastconv {

const Backend& backend_for(Device device) {
  if (device.type == DeviceType::cpu) return *cpu_backend();
  const Backend* backend = cuda_backend();
  if (backend == nullptr) throw std::runtime_error("no CUDA device: this fastconv was built without CUDA");
  return *backend;
}

}   // namespace fastconv
