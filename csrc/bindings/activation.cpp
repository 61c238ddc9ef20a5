#include "bindings/arguments.hpp"
#include "bindings/bindings.hpp"
#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

py::array forward(const char* op, Activation kind, const py::object& x) {
  const Array a = read_floats({op, "x"}, x);
  const Array y = make_array(a, a.view.shape, a.view.format);
  const auto run = operation(op, a.view.device, &Backend::activation);
  {
    const WithoutGil unlocked;
    run(kind, a.view, y.view);
  }
  return to_python(y);
}

py::array backward(const char* op, Activation kind, const py::object& grad, const py::object& y) {
  const Array g = read_floats({op, "grad"}, grad);
  const Array kept = read_floats({op, "y"}, y, g, g.view.format);
  check_shape(op, "grad", g.view.shape, kept.view.shape);
  const Array dx = make_array(g, g.view.shape, g.view.format);
  const auto run = operation(op, g.view.device, &Backend::activation_backward);
  {
    const WithoutGil unlocked;
    run(kind, g.view, kept.view, dx.view);
  }
  return to_python(dx);
}

template <Activation kind>
void bind(py::module_& m, const char* name, const char* backward_name) {
  m.def(name, [name](const py::object& x) { return forward(name, kind, x); }, py::arg("x"));
  m.def(
      backward_name,
      [backward_name](const py::object& grad, const py::object& y) {
        return backward(backward_name, kind, grad, y);
      },
      py::arg("grad"), py::arg("y"));
}

}   // namespace

void bind_activation(py::module_& m) {
  bind<Activation::relu>(m, "relu", "relu_backward");
  bind<Activation::sigmoid>(m, "sigmoid", "sigmoid_backward");
  bind<Activation::tanh>(m, "tanh", "tanh_backward");
}

}   // namespace fastconv::bindings
