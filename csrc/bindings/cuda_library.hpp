// CuPy, or a module that has what is used of it here: `ndarray` (data.ptr, data.device_id, shape, strides,
// dtype), `empty`, `from_dlpack`, `cuda.get_current_stream`, `cuda.Device` and `cuda.runtime.getDevice`.
#pragma once

#include <pybind11/pybind11.h>

#include "core/view.hpp"

namespace fastconv::bindings {

namespace py = pybind11;

class CudaLibrary {
 public:
  explicit CudaLibrary(const py::module_& module);

  static const CudaLibrary* of(const py::handle& object);   // whose array it is; null where nobody's
  static const CudaLibrary& cupy();   // imported; std::runtime_error where it is not there

  // The device of one of its arrays, with the stream that is current there.
  Device device_of(const py::handle& array) const;
  // Uninitialised, on the device's current stream. Channels-last for four dimensions where `channels_last`.
  py::object empty(const py::object& dtype, const Shape& shape, bool channels_last, int device) const;
  py::object from_dlpack(const py::object& object) const { return from_dlpack_(object); }

 private:
  py::object empty_, from_dlpack_, current_stream_, current_device_, device_;
};

}   // namespace fastconv::bindings
