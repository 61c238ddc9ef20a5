#include "bindings/arguments.hpp"
#include "bindings/bindings.hpp"
#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

py::array dropout(const py::object& x, double p, uint64_t key, const py::object& memory_format) {
  const char* op = "dropout";
  if (!(p >= 0 && p < 1))
    throw py::value_error(std::string(op) + ": p must be in [0, 1), got " + std::to_string(p));
  const Array a = read_floats({op, "x"}, x, parse_format({op, "memory_format"}, memory_format));
  const Array y = make_array(a, a.view.shape, a.view.format);
  const auto run = operation(op, a.view.device, &Backend::dropout);
  {
    const WithoutGil unlocked;
    run({p, key}, a.view, y.view);
  }
  return to_python(y);
}

}   // namespace

void bind_dropout(py::module_& m) {
  m.def("dropout", dropout, py::arg("x"), py::arg("p"), py::arg("key"), py::arg("memory_format"));
}

}   // namespace fastconv::bindings
