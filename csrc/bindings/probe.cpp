#include "cpu/probe.hpp"

#include "bindings/arguments.hpp"
#include "bindings/bindings.hpp"
#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

Array read_cpu(Argument argument, const py::object& x) {
  Array a = read_floats(argument, x);
  if (a.view.device.type == DeviceType::cpu) return a;
  throw py::type_error(std::string(argument.operation) + ": " + argument.name + " is on " +
                       device_name(a.view.device) + ", expected cpu");
}

int64_t fma(const py::object& dtype, const py::object& steps) {
  const DType type = parse_dtype({"probe_fma", "dtype"}, dtype);
  if (itemsize(type) < 4) throw py::value_error("probe_fma: dtype must be \"float32\" or \"float64\"");
  const int64_t count = parse_int({"probe_fma", "steps"}, steps);
  const WithoutGil unlocked;
  return cpu::probe_fma(type, count);
}

void read(const py::object& x) {
  const Array a = read_cpu({"probe_read", "x"}, x);
  const WithoutGil unlocked;
  cpu::probe_read(a.view);
}

py::array copy(const py::object& x, const py::object& out) {
  const Array a = read_cpu({"probe_copy", "x"}, x);
  const Array y = make_out({"probe_copy", "out"}, out, a, a.view.shape, a.view.format, a.view.format, {&a});
  {
    const WithoutGil unlocked;
    cpu::probe_copy(a.view, y.view);
  }
  return to_python(y);
}

}   // namespace

void bind_probe(py::module_& m) {
  m.def("probe_fma", fma, py::arg("dtype"), py::arg("steps"));
  m.def("probe_read", read, py::arg("x"));
  m.def("probe_copy", copy, py::arg("x"), py::arg("out"));
}

}   // namespace fastconv::bindings
