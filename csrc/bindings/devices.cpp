#include "bindings/devices.hpp"

#include "bindings/bindings.hpp"

namespace fastconv::bindings {
namespace {

namespace py = pybind11;

constexpr const char* kCapsule = "fastconv.Backend";

bool registered = false;   // with the interpreter's lock held

// The capsule holds a `const Backend*` that outlives the process's use of it; None forgets the backend.
void register_backend(const py::object& capsule) {
  const Backend* backend = nullptr;
  if (!capsule.is_none()) {
    backend = static_cast<const Backend*>(PyCapsule_GetPointer(capsule.ptr(), kCapsule));
    if (backend == nullptr) throw py::error_already_set();
  }
  register_cuda_backend(backend);
  registered = backend != nullptr;
}

py::object cpu_capsule() { return py::capsule(cpu_backend(), kCapsule); }

// Null where the build has none.
py::object import_cuda() {
  PyObject* module = PyImport_ImportModule("fastconv._cuda");
  if (module != nullptr) return py::reinterpret_steal<py::object>(module);
  if (!PyErr_ExceptionMatches(PyExc_ModuleNotFoundError)) throw py::error_already_set();
  PyErr_Clear();
  return {};
}

}   // namespace

void require_cuda() {
  if (registered) return;
  const py::object module = import_cuda();
  if (!module) return void(backend_for({DeviceType::cuda}));
  module.attr("devices")();   // raises "no CUDA device: ..."
  register_backend(module.attr("backend"));
}

std::string device_name(Device device) {
  return device.type == DeviceType::cpu ? "cpu" : "cuda:" + std::to_string(device.index);
}

void bind_devices(py::module_& m) {
  m.def("register_cuda_backend", register_backend, py::arg("backend").none(true),
        "Run CUDA arrays on the backend of this capsule from now on; None forgets it.");
  m.def("cpu_backend", cpu_capsule, "The CPU backend as a capsule for register_cuda_backend, for tests.");
  m.def("require_cuda", require_cuda, "RuntimeError \"no CUDA device ...\" where there is none.");
}

}   // namespace fastconv::bindings
