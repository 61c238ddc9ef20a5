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

struct NamedCurve {
  Curve kind;
  const char *name, *backward;
  const char* parameters[2];   // null: it has none
};
constexpr NamedCurve kCurves[] = {
    {Curve::leaky_relu, "leaky_relu", "leaky_relu_backward", {"negative_slope", nullptr}},
    {Curve::elu, "elu", "elu_backward", {"alpha", nullptr}},
    {Curve::hardtanh, "hardtanh", "hardtanh_backward", {"min_val", "max_val"}},
    {Curve::silu, "silu", "silu_backward", {nullptr, nullptr}},
    {Curve::softplus, "softplus", "softplus_backward", {"beta", "threshold"}},
    {Curve::gelu, "gelu", "gelu_backward", {nullptr, nullptr}},
    {Curve::gelu_tanh, "gelu", "gelu_backward", {nullptr, nullptr}},
};

CurveParameters parameters(const NamedCurve& curve, const char* op, const py::object& a, const py::object& b) {
  const auto parse = [&](int i, const py::object& value) {
    return curve.parameters[i] ? parse_number({op, curve.parameters[i]}, value) : 0.0;
  };
  return {curve.kind, parse(0, a), parse(1, b)};
}

py::array curve_forward(const NamedCurve& curve, const py::object& x, const py::object& a,
                        const py::object& b) {
  const CurveParameters p = parameters(curve, curve.name, a, b);
  const Array input = read_floats({curve.name, "x"}, x);
  const Array y = make_array(input, input.view.shape, input.view.format);
  const auto run = operation(curve.name, input.view.device, &Backend::curve);
  {
    const WithoutGil unlocked;
    run(p, input.view, y.view);
  }
  return to_python(y);
}

py::array curve_backward(const NamedCurve& curve, const py::object& grad, const py::object& x,
                         const py::object& a, const py::object& b) {
  const char* op = curve.backward;
  const CurveParameters p = parameters(curve, op, a, b);
  const Array g = read_floats({op, "grad"}, grad);
  const Array kept = read_floats({op, "x"}, x, g, g.view.format);
  check_shape(op, "grad", g.view.shape, kept.view.shape);
  const Array dx = make_array(g, g.view.shape, g.view.format);
  const auto run = operation(op, g.view.device, &Backend::curve_backward);
  {
    const WithoutGil unlocked;
    run(p, g.view, kept.view, dx.view);
  }
  return to_python(dx);
}

// leaky_relu(x, negative_slope, None), leaky_relu_backward(grad, x, negative_slope, None) and so on.
void bind_curve(py::module_& m, const NamedCurve& curve) {
  const bool approximate = curve.kind == Curve::gelu_tanh;
  m.def(
      approximate ? "gelu_tanh" : curve.name,
      [&curve](const py::object& x, const py::object& a, const py::object& b) {
        return curve_forward(curve, x, a, b);
      },
      py::arg("x"), py::arg("a") = py::none(), py::arg("b") = py::none());
  m.def(
      approximate ? "gelu_tanh_backward" : curve.backward,
      [&curve](const py::object& grad, const py::object& x, const py::object& a, const py::object& b) {
        return curve_backward(curve, grad, x, a, b);
      },
      py::arg("grad"), py::arg("x"), py::arg("a") = py::none(), py::arg("b") = py::none());
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
  for (const NamedCurve& curve : kCurves) bind_curve(m, curve);
}

}   // namespace fastconv::bindings
