// The caller's array as it lies, whatever library made it: NumPy, CuPy, or one that speaks DLPack.
#pragma once

#include <pybind11/numpy.h>

#include <optional>

#include "bindings/arrays.hpp"

namespace fastconv::bindings {

struct Foreign {
  py::object object;                      // the array of NumPy or of `library`
  const CudaLibrary* library = nullptr;   // null: NumPy
  Device device;
  char* data = nullptr;
  int rank = 0;
  const int64_t *extents = nullptr, *strides = nullptr;   // strides in bytes
  std::optional<DType> dtype;                             // nothing for one that fastconv does not know
  bool contiguous = true, aligned = true, writable = true;
  Shape storage;   // of extents and strides where `object` does not hold them

  Foreign() = default;
  Foreign(Foreign&&) = default;
  Foreign& operator=(Foreign&&) = default;

  Shape shape() const { return Shape(extents, extents + rank); }
  std::string dtype_name() const;   // of dtypes that are not ours too
  // How it lies, `wanted` where that is true too; nothing where it is not dense.
  std::optional<MemoryFormat> format(std::optional<MemoryFormat> wanted) const;
};

// TypeError where it is no array.
Foreign describe(Argument argument, const py::object& object);

// An uninitialised array of the library on the device; what `shape` and `format` say is not filled in.
Foreign make_foreign(const CudaLibrary* library, Device device, DType dtype, const Shape& shape,
                     MemoryFormat format);

void copy_into(const CudaLibrary* library, const py::object& to, const py::object& from);

const char* dtype_name(DType dtype);
std::string prefix(Argument argument);   // "relu: x "

}   // namespace fastconv::bindings
