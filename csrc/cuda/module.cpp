// fastconv._cuda: the backend for _core.register_cuda_backend, and what is there to run it on.
#include <cuda_runtime.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "core/backend.hpp"

namespace {

[[noreturn]] void no_device(const std::string& reason) {
  throw std::runtime_error("no CUDA device: " + reason);
}

// One line a device. Devices that are too old are refused where nothing else is there, and when they are used.
std::vector<std::string> devices() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  int driver = 0;
  if (error == cudaErrorInsufficientDriver && cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0)
    no_device("there is no NVIDIA driver");
  if (error != cudaSuccess) no_device(cudaGetErrorString(error));
  if (count == 0) no_device("the driver lists none");
  std::vector<std::string> lines;
  bool usable = false;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp device;
    if (const cudaError_t failed = cudaGetDeviceProperties(&device, i); failed != cudaSuccess)
      no_device(cudaGetErrorString(failed));
    usable = usable || device.major >= 8;
    lines.push_back(std::string(device.name) + ", compute capability " + std::to_string(device.major) + "." +
                    std::to_string(device.minor) + ", " + std::to_string(device.totalGlobalMem >> 30) + " GiB");
  }
  if (!usable) no_device("fastconv needs compute capability 8.0 or newer, there is " + lines.front());
  return lines;
}

}   // namespace

PYBIND11_MODULE(_cuda, m) {
  m.doc() = "CUDA kernels behind fastconv.ops.";
  m.attr("backend") = pybind11::capsule(fastconv::cuda_backend(), "fastconv.Backend");
  m.attr("architectures") = FASTCONV_CUDA_ARCHITECTURES;
  m.def("devices", devices, "One line a device; RuntimeError \"no CUDA device: ...\" where none can be used.");
}
