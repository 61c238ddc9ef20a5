#include "cpu/probe.hpp"

#include "bindings/arguments.hpp"
#include "bindings/bindings.hpp"

namespace fastconv::bindings {
namespace {

int64_t fma(const py::object& dtype, const py::object& steps) {
  const DType type = parse_dtype({"probe_fma", "dtype"}, dtype);
  const int64_t count = parse_int({"probe_fma", "steps"}, steps);
  const WithoutGil unlocked;
  return cpu::probe_fma(type, count);
}

void read(const py::object& x) {
  const Array a = read_floats({"probe_read", "x"}, x);
  const WithoutGil unlocked;
  cpu::probe_read(a.view);
}

py::array copy(const py::object& x, const py::object& out) {
  const Array a = read_floats({"probe_copy", "x"}, x);
  const Array y =
      make_out({"probe_copy", "out"}, out, a.view.dtype, a.view.shape, a.view.format, a.view.format, {&a});
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
