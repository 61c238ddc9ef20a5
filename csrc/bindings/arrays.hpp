// Arrays of the caller as views, and views as arrays of the caller. With foreign.hpp and cuda_library.hpp the
// only place that knows NumPy, CuPy and DLPack.
//
// Accepted: NumPy arrays and scalars, CuPy arrays, and whatever has __dlpack__ on the CPU or a CUDA device.
// Dense arrays are used as they lie (contiguous, or channels-last where they have three to five dimensions);
// any other strides cost one copy. All arrays of a call lie on the device of its first.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <initializer_list>
#include <optional>
#include <stdexcept>

#include "core/view.hpp"

namespace fastconv::bindings {

namespace py = pybind11;

class CudaLibrary;

// Named in error messages. Plain pointers: nothing is built unless an error is.
struct Argument {
  const char* operation;
  const char* name;
};

// A view and what keeps its memory alive.
struct Array {
  View view;
  py::object owner;
  Argument argument{};
  const CudaLibrary* library = nullptr;   // that made `owner`; null: NumPy
  const char *begin = nullptr,
             *end = nullptr;   // the bytes of the caller's own array, even where it was copied
};

// dtype: float32 or float64, on CUDA devices float16 and bfloat16 too. `like`: must have its dtype and device.
// `format`: copied where it lies in the other one.
Array read_floats(Argument argument, const py::object& object,
                  std::optional<MemoryFormat> format = std::nullopt);
Array read_floats(Argument argument, const py::object& object, const Array& like,
                  std::optional<MemoryFormat> format = std::nullopt);
// What is kept of `like` for its backward pass, in the type of its sums: float32 for 16-bit types.
Array read_statistics(Argument argument, const py::object& object, const Array& like, const Shape& shape);
std::optional<Array> read_optional_floats(Argument argument, const py::object& object, const Array& like);
// int64, and int32 where `narrow` says so, on the device of `like`.
Array read_integers(Argument argument, const py::object& object, const Array& like, bool narrow = false,
                    std::optional<MemoryFormat> format = std::nullopt);

// An uninitialised array of the library and device of `like`, and of its dtype unless another is given: from
// the memory pool, or from CuPy on its current stream. `format` counts for three to five dimensions only.
Array make_array(const Array& like, const Shape& shape, MemoryFormat format = MemoryFormat::contiguous);
Array make_array(const Array& like, DType dtype, const Shape& shape,
                 MemoryFormat format = MemoryFormat::contiguous);

// The caller's `out`: writable, dense, of this shape and of the dtype and device of `like`, apart from the
// inputs; None makes an array.
Array make_out(Argument argument, const py::object& out, const Array& like, const Shape& shape,
               MemoryFormat inherited, std::optional<MemoryFormat> asked,
               std::initializer_list<const Array*> inputs);

// An array that the operation changes. Where its strides are not dense, commit() copies the result back.
class InPlace {
 public:
  InPlace(Argument argument, const py::object& object);
  InPlace(Argument argument, const py::object& object, const Array& like);
  const Array& array() const { return array_; }
  const View& view() const { return array_.view; }
  void commit() const;

 private:
  py::object original_;
  Array array_;
};

void check_disjoint(const Array& written, const Array& read);

// The result as its library's object; py::array is what the type stubs call it.
inline py::array to_python(const Array& array) { return py::reinterpret_borrow<py::array>(array.owner); }

inline const View* pointer(const std::optional<Array>& array) { return array ? &array->view : nullptr; }

// Leaner than py::gil_scoped_release; an exception takes the lock again on its way out.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() { PyEval_RestoreThread(state_); }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

// Runs a backend's operation that finds bad values on its way: its message gets the operation's name.
template <class Run>
void run_named(const char* op, const Run& run) {
  try {
    const WithoutGil unlocked;
    run();
  } catch (const std::invalid_argument& error) {
    throw py::value_error(std::string(op) + ": " + error.what());
  }
}

}   // namespace fastconv::bindings
