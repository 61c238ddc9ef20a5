// Which backend a call runs on.
#pragma once

#include <pybind11/pybind11.h>

#include <stdexcept>
#include <string>

#include "core/backend.hpp"

namespace fastconv::bindings {

// Imports fastconv._cuda at the first CUDA array. std::runtime_error "no CUDA device ..." where there is none.
void require_cuda();

// The backend's function for an operation, such as operation("relu", x.view.device, &Backend::activation).
template <class Function>
Function operation(const char* name, Device device, Function Backend::* entry) {
  const Function function = backend_for(device).*entry;
  if (function == nullptr)
    throw std::runtime_error(std::string(name) + ": not implemented for CUDA arrays yet");
  return function;
}

std::string device_name(Device device);   // "cpu", "cuda:0"

}   // namespace fastconv::bindings
