#include "backend.hpp"

#include <atomic>
#include <stdexcept>

namespace fastconv {
namespace {

std::atomic<const Backend*> cuda{nullptr};

}   // namespace

const Backend& backend_for(Device device) {
  if (device.type == DeviceType::cpu) return *cpu_backend();
  const Backend* backend = cuda;
  if (backend == nullptr) throw std::runtime_error("no CUDA device: this fastconv was built without CUDA");
  return *backend;
}

void register_cuda_backend(const Backend* backend) { cuda = backend; }

}   // namespace fastconv
