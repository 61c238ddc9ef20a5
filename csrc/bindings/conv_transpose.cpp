// Transposed convolution: the passes of the convolution that it is the backward-input of, whose output is x
// here and whose input the result.
#include "bindings/bindings.hpp"
#include "bindings/conv.hpp"
#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

constexpr auto kContiguous = MemoryFormat::contiguous;

const char* name_of(int spatial, Pass pass) {
  static const char* const kNames[kMaxSpatial][3] = {
      {"conv_transpose1d", "conv_transpose1d_backward_input", "conv_transpose1d_backward_weight"},
      {"conv_transpose2d", "conv_transpose2d_backward_input", "conv_transpose2d_backward_weight"},
      {"conv_transpose3d", "conv_transpose3d_backward_input", "conv_transpose3d_backward_weight"}};
  return name_in(kNames, spatial, pass);
}

ConvProblem conv_transpose_problem(int spatial, const char* op, const Shape& input, const Shape& weight,
                                   const py::object& stride, const py::object& padding,
                                   const py::object& output_padding, const py::object& groups,
                                   const py::object& dilation) {
  return make_conv_transpose_problem(op, input, weight, parse_sizes({op, "stride"}, stride, spatial),
                                     parse_sizes({op, "padding"}, padding, spatial),
                                     parse_sizes({op, "output_padding"}, output_padding, spatial),
                                     parse_sizes({op, "dilation"}, dilation, spatial),
                                     parse_int({op, "groups"}, groups));
}

// Shapes alone, for the passes below: a transposed convolution's problem is checked once.
ConvProblem problem(int spatial, const py::object& x_shape, const py::object& weight_shape,
                    const py::object& stride, const py::object& padding, const py::object& output_padding,
                    const py::object& groups, const py::object& dilation) {
  const char* op = name_of(spatial, Pass::forward);
  return conv_transpose_problem(spatial, op, parse_shape({op, "input shape"}, x_shape),
                                parse_shape({op, "weight shape"}, weight_shape), stride, padding,
                                output_padding, groups, dilation);
}

py::array forward(const char* op, const ConvProblem& p, const Array& x, const Array& weight,
                  const py::object& bias, const py::object& activation, const py::object& algorithm,
                  const py::object& memory_format, const py::object& out, const py::object& precision) {
  const Activation fused = parse_activation({op, "activation"}, activation);
  const Method asked = parse_method(op, algorithm, precision);
  const auto format = parse_format({op, "memory_format"}, memory_format);
  const std::optional<Array> b = read_optional_floats({op, "bias"}, bias, x);
  if (b) check_shape(op, "bias", b->view.shape, {p.in_channels});
  const Array y =
      make_out({op, "out"}, out, x, p.input_shape(), x.view.format, format, {&x, &weight, b ? &*b : nullptr});
  check_implemented(op, p, Pass::backward_input, asked, x.view, y.view);
  if (!b && fused == Activation::none) {
    const auto run = operation(op, x.view.device, &Backend::conv_backward_input);
    const WithoutGil unlocked;
    run(p, x.view, weight.view, asked.algorithm, asked.precision, y.view);
  } else {
    const auto run = operation(op, x.view.device, &Backend::conv_transpose);
    const WithoutGil unlocked;
    run(p, x.view, weight.view, pointer(b), fused, asked.algorithm, asked.precision, y.view);
  }
  return to_python(y);
}

py::array backward_input(const char* op, const ConvProblem& p, const Array& grad, const Array& weight,
                         const py::object& algorithm, const py::object& memory_format, const py::object& out,
                         const py::object& precision) {
  const Method asked = parse_method(op, algorithm, precision);
  const auto format = parse_format({op, "memory_format"}, memory_format);
  check_shape(op, "grad", grad.view.shape, p.input_shape());
  check_shape(op, "weight", weight.view.shape, p.weight_shape());
  const Array dx =
      make_out({op, "out"}, out, grad, p.output_shape(), grad.view.format, format, {&grad, &weight});
  check_implemented(op, p, Pass::forward, asked, grad.view, dx.view);
  const auto run = operation(op, grad.view.device, &Backend::conv_forward);
  {
    const WithoutGil unlocked;
    run(p, grad.view, weight.view, nullptr, Activation::none, asked.algorithm, asked.precision, dx.view);
  }
  return to_python(dx);
}

py::array backward_weight(const char* op, const ConvProblem& p, const Array& grad, const Array& x,
                          const py::object& algorithm, const py::object& precision) {
  const Method asked = parse_method(op, algorithm, precision);
  check_shape(op, "grad", grad.view.shape, p.input_shape());
  check_shape(op, "x", x.view.shape, p.output_shape());
  const Array dw = make_array(grad, p.weight_shape());
  check_implemented(op, p, Pass::backward_weight, asked, x.view, grad.view);
  const auto run = operation(op, grad.view.device, &Backend::conv_backward_weight);
  {
    const WithoutGil unlocked;
    run(p, x.view, grad.view, asked.algorithm, asked.precision, dw.view, nullptr);
  }
  return to_python(dw);
}

py::array conv_transpose(int spatial, const py::object& x, const py::object& weight, const py::object& bias,
                         const py::object& stride, const py::object& padding, const py::object& output_padding,
                         const py::object& groups, const py::object& dilation, const py::object& activation,
                         const py::object& algorithm, const py::object& memory_format, const py::object& out,
                         const py::object& precision) {
  const char* op = name_of(spatial, Pass::forward);
  const Array a = read_floats({op, "x"}, x), w = read_floats({op, "weight"}, weight, a, kContiguous);
  const ConvProblem p = conv_transpose_problem(spatial, op, a.view.shape, w.view.shape, stride, padding,
                                               output_padding, groups, dilation);
  return forward(op, p, a, w, bias, activation, algorithm, memory_format, out, precision);
}

py::array conv_transpose_input_gradient(int spatial, const py::object& grad, const py::object& weight,
                                        const py::object& input_shape, const py::object& stride,
                                        const py::object& padding, const py::object& output_padding,
                                        const py::object& groups, const py::object& dilation,
                                        const py::object& algorithm, const py::object& memory_format,
                                        const py::object& out, const py::object& precision) {
  const char* op = name_of(spatial, Pass::backward_input);
  const Array g = read_floats({op, "grad"}, grad), w = read_floats({op, "weight"}, weight, g, kContiguous);
  const ConvProblem p = conv_transpose_problem(spatial, op, parse_shape({op, "input_shape"}, input_shape),
                                               w.view.shape, stride, padding, output_padding, groups, dilation);
  return backward_input(op, p, g, w, algorithm, memory_format, out, precision);
}

py::array conv_transpose_weight_gradient(int spatial, const py::object& grad, const py::object& x,
                                         const py::object& weight_shape, const py::object& stride,
                                         const py::object& padding, const py::object& output_padding,
                                         const py::object& groups, const py::object& dilation,
                                         const py::object& algorithm, const py::object& precision) {
  const char* op = name_of(spatial, Pass::backward_weight);
  const Array g = read_floats({op, "grad"}, grad), a = read_floats({op, "x"}, x, g);
  const ConvProblem p =
      conv_transpose_problem(spatial, op, a.view.shape, parse_shape({op, "weight_shape"}, weight_shape), stride,
                             padding, output_padding, groups, dilation);
  return backward_weight(op, p, g, a, algorithm, precision);
}

// The functions of a problem that was checked before.

py::array conv_transpose_forward(const ConvProblem& p, const py::object& x, const py::object& weight,
                                 const py::object& bias, const py::object& activation,
                                 const py::object& algorithm, const py::object& memory_format,
                                 const py::object& precision) {
  const char* op = name_of(p.spatial, Pass::forward);
  const Array a = read_floats({op, "x"}, x), w = read_floats({op, "weight"}, weight, a, kContiguous);
  check_shape(op, "x", a.view.shape, p.output_shape());
  check_shape(op, "weight", w.view.shape, p.weight_shape());
  return forward(op, p, a, w, bias, activation, algorithm, memory_format, py::none(), precision);
}

py::array conv_transpose_backward_input(const ConvProblem& p, const py::object& grad, const py::object& weight,
                                        const py::object& algorithm, const py::object& precision) {
  const char* op = name_of(p.spatial, Pass::backward_input);
  const Array g = read_floats({op, "grad"}, grad), w = read_floats({op, "weight"}, weight, g, kContiguous);
  return backward_input(op, p, g, w, algorithm, py::none(), py::none(), precision);
}

py::array conv_transpose_backward_weight(const ConvProblem& p, const py::object& grad, const py::object& x,
                                         const py::object& algorithm, const py::object& precision) {
  const char* op = name_of(p.spatial, Pass::backward_weight);
  const Array g = read_floats({op, "grad"}, grad), a = read_floats({op, "x"}, x, g);
  return backward_weight(op, p, g, a, algorithm, precision);
}

}   // namespace

void bind_conv_transpose(py::module_& m) {
  m.def("conv_transpose", conv_transpose, py::arg("spatial"), py::arg("x"), py::arg("weight"), py::arg("bias"),
        py::arg("stride"), py::arg("padding"), py::arg("output_padding"), py::arg("groups"),
        py::arg("dilation"), py::arg("activation"), py::arg("algorithm"), py::arg("memory_format"),
        py::arg("out"), py::arg("precision") = "highest");
  m.def("conv_transpose_input_gradient", conv_transpose_input_gradient, py::arg("spatial"), py::arg("grad"),
        py::arg("weight"), py::arg("input_shape"), py::arg("stride"), py::arg("padding"),
        py::arg("output_padding"), py::arg("groups"), py::arg("dilation"), py::arg("algorithm"),
        py::arg("memory_format"), py::arg("out"), py::arg("precision") = "highest");
  m.def("conv_transpose_weight_gradient", conv_transpose_weight_gradient, py::arg("spatial"), py::arg("grad"),
        py::arg("x"), py::arg("weight_shape"), py::arg("stride"), py::arg("padding"), py::arg("output_padding"),
        py::arg("groups"), py::arg("dilation"), py::arg("algorithm"), py::arg("precision") = "highest");
  m.def("conv_transpose_problem", problem, py::arg("spatial"), py::arg("x_shape"), py::arg("weight_shape"),
        py::arg("stride"), py::arg("padding"), py::arg("output_padding"), py::arg("groups"),
        py::arg("dilation"));
  m.def("conv_transpose_forward", conv_transpose_forward, py::arg("problem"), py::arg("x"), py::arg("weight"),
        py::arg("bias"), py::arg("activation"), py::arg("algorithm"), py::arg("memory_format"),
        py::arg("precision") = "highest");
  m.def("conv_transpose_backward_input", conv_transpose_backward_input, py::arg("problem"), py::arg("grad"),
        py::arg("weight"), py::arg("algorithm"), py::arg("precision") = "highest");
  m.def("conv_transpose_backward_weight", conv_transpose_backward_weight, py::arg("problem"), py::arg("grad"),
        py::arg("x"), py::arg("algorithm"), py::arg("precision") = "highest");
}

}   // namespace fastconv::bindings
