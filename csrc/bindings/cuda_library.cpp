#include "bindings/cuda_library.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <unordered_map>

#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

// Known types of arrays. They and their libraries are held for the life of the process.
using Known = std::unordered_map<PyTypeObject*, const CudaLibrary*>;

Known& known() {
  static Known& types = *new Known;
  return types;
}

// The module that `type` comes from where its `ndarray` is that type and it computes on CUDA; else null.
py::object module_of(const py::handle& type) {
  const py::object name = py::getattr(type, "__module__", py::none());
  if (!py::isinstance<py::str>(name)) return {};
  py::object module = py::reinterpret_steal<py::object>(PyImport_GetModule(name.ptr()));
  if (!module) PyErr_Clear();
  if (!module || !py::getattr(module, "ndarray", py::none()).is(type)) return {};
  if (!py::hasattr(py::getattr(module, "cuda", py::none()), "get_current_stream")) return {};
  return module;
}

py::tuple to_tuple(const Shape& shape) {
  py::tuple tuple(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) tuple[i] = shape[i];
  return tuple;
}

// (N, C, *spatial) to (N, *spatial, C).
Shape with_channels_last(Shape shape) {
  std::rotate(shape.begin() + 1, shape.begin() + 2, shape.end());
  return shape;
}

// The library whose array type this is, or a base of it.
const CudaLibrary* library_of(PyTypeObject* type) {
  const auto found = known().find(type);
  if (found != known().end()) return found->second;
  const py::object bases = py::reinterpret_borrow<py::object>(type->tp_mro);
  for (const py::handle base : bases) {
    const py::object module = module_of(base);
    if (!module) continue;
    Py_INCREF(type);
    return known()[type] = new CudaLibrary(py::reinterpret_borrow<py::module_>(module));
  }
  return nullptr;
}

// The axes that give (N, C, *spatial) of (N, *spatial, C).
py::tuple channels_second(size_t rank) {
  Shape axes{0, int64_t(rank) - 1};
  for (int64_t axis = 1; axis + 1 < int64_t(rank); ++axis) axes.push_back(axis);
  return to_tuple(axes);
}

}   // namespace

CudaLibrary::CudaLibrary(const py::module_& module)
    : empty_(module.attr("empty")),
      from_dlpack_(module.attr("from_dlpack")),
      current_stream_(module.attr("cuda").attr("get_current_stream")),
      current_device_(module.attr("cuda").attr("runtime").attr("getDevice")),
      device_(module.attr("cuda").attr("Device")) {}

const CudaLibrary* CudaLibrary::of(const py::handle& object) { return library_of(Py_TYPE(object.ptr())); }

const CudaLibrary& CudaLibrary::cupy() {
  try {
    const py::object type = py::module_::import("cupy").attr("ndarray");
    const CudaLibrary* library = library_of(reinterpret_cast<PyTypeObject*>(type.ptr()));
    if (library == nullptr) throw std::runtime_error("the module cupy is not CuPy");
    return *library;
  } catch (py::error_already_set& error) {
    if (!error.matches(PyExc_ImportError)) throw;
    throw std::runtime_error(
        "arrays of a CUDA device are CuPy's, which cannot be imported (pip install 'fastconv[cuda]'): " +
        std::string(py::str(error.value())));
  }
}

Device CudaLibrary::device_of(const py::handle& array) const {
  require_cuda();
  Device device{DeviceType::cuda, py::cast<int>(array.attr("data").attr("device_id"))};
  device.stream = reinterpret_cast<void*>(py::cast<uintptr_t>(current_stream_(device.index).attr("ptr")));
  return device;
}

py::object CudaLibrary::empty(const py::object& dtype, const Shape& shape, bool channels_last,
                              int device) const {
  // CuPy allocates on the calling thread's device.
  py::object guard;
  if (py::cast<int>(current_device_()) != device) {
    guard = device_(device);
    guard.attr("__enter__")();
  }
  py::object made;
  try {
    made = channels_last ? empty_(to_tuple(with_channels_last(shape)), dtype)
                               .attr("transpose")(channels_second(shape.size()))
                         : empty_(to_tuple(shape), dtype);
  } catch (...) {
    if (guard) guard.attr("__exit__")(py::none(), py::none(), py::none());
    throw;
  }
  if (guard) guard.attr("__exit__")(py::none(), py::none(), py::none());
  return made;
}

}   // namespace fastconv::bindings
