#include "bindings/conv.hpp"

#include "bindings/bindings.hpp"
#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

constexpr auto kContiguous = MemoryFormat::contiguous;   // weights, which every kernel packs anyway

using Gradients = py::typing::Tuple<py::array, py::typing::Optional<py::array>>;

// Names for messages.
const char* name_of(int spatial, Pass pass) {
  static const char* const kNames[kMaxSpatial][3] = {
      {"conv1d", "conv1d_backward_input", "conv1d_backward_weight"},
      {"conv2d", "conv2d_backward_input", "conv2d_backward_weight"},
      {"conv3d", "conv3d_backward_input", "conv3d_backward_weight"}};
  return name_in(kNames, spatial, pass);
}

}   // namespace

const char* name_in(const char* const (&names)[kMaxSpatial][3], int spatial, Pass pass) {
  if (spatial < 1 || spatial > kMaxSpatial)
    throw py::value_error("spatial must be 1, 2 or 3, got " + std::to_string(spatial));
  return names[spatial - 1][int(pass)];
}

Method parse_method(const char* op, const py::object& algorithm, const py::object& precision) {
  return {parse_algorithm({op, "algorithm"}, algorithm), parse_precision({op, "precision"}, precision)};
}

ConvProblem parse_conv_problem(const char* op, int spatial, const Shape& input, const Shape& weight,
                               const py::object& stride, const py::object& padding, const py::object& dilation,
                               const py::object& groups) {
  return make_conv_problem(op, input, weight, parse_sizes({op, "stride"}, stride, spatial),
                           parse_padding({op, "padding"}, padding, spatial),
                           parse_sizes({op, "dilation"}, dilation, spatial), parse_int({op, "groups"}, groups));
}

void check_implemented(const char* op, const ConvProblem& p, Pass pass, Method method, const View& source,
                       const View& result) {
  const auto implementation = operation(op, source.device, &Backend::conv_implementation);
  if (implementation(p, pass, method.algorithm, method.precision, source.dtype, source.format, result.format) !=
      nullptr)
    return;
  static const char* const kAlgorithms[] = {"auto", "direct", "winograd"};
  throw py::value_error(std::string(op) + ": algorithm \"" + kAlgorithms[int(method.algorithm)] +
                        "\" has no implementation for " + describe(p) + " on " +
                        backend_for(source.device).name);
}

namespace {

py::array forward(const char* op, const ConvProblem& p, const Array& x, const Array& weight,
                  const py::object& bias, const py::object& activation, const py::object& algorithm,
                  const py::object& memory_format, const py::object& out, const py::object& precision) {
  const Activation fused = parse_activation({op, "activation"}, activation);
  const Method asked = parse_method(op, algorithm, precision);
  const auto format = parse_format({op, "memory_format"}, memory_format);
  const std::optional<Array> b = read_optional_floats({op, "bias"}, bias, x);
  if (b) check_shape(op, "bias", b->view.shape, {p.out_channels});
  const Array y =
      make_out({op, "out"}, out, x, p.output_shape(), x.view.format, format, {&x, &weight, b ? &*b : nullptr});
  check_implemented(op, p, Pass::forward, asked, x.view, y.view);
  const auto run = operation(op, x.view.device, &Backend::conv_forward);
  {
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
  check_shape(op, "grad", grad.view.shape, p.output_shape());
  check_shape(op, "weight", weight.view.shape, p.weight_shape());
  const Array dx =
      make_out({op, "out"}, out, grad, p.input_shape(), grad.view.format, format, {&grad, &weight});
  check_implemented(op, p, Pass::backward_input, asked, grad.view, dx.view);
  const auto run = operation(op, grad.view.device, &Backend::conv_backward_input);
  {
    const WithoutGil unlocked;
    run(p, grad.view, weight.view, asked.algorithm, asked.precision, dx.view);
  }
  return to_python(dx);
}

Gradients backward_weight(const char* op, const ConvProblem& p, const Array& grad, const Array& x, bool bias,
                          const py::object& algorithm, const py::object& precision) {
  const Method asked = parse_method(op, algorithm, precision);
  check_shape(op, "grad", grad.view.shape, p.output_shape());
  check_shape(op, "x", x.view.shape, p.input_shape());
  const Array dw = make_array(grad, p.weight_shape());
  std::optional<Array> db;
  if (bias) db = make_array(grad, {p.out_channels});
  check_implemented(op, p, Pass::backward_weight, asked, grad.view, x.view);
  const auto run = operation(op, grad.view.device, &Backend::conv_backward_weight);
  {
    const WithoutGil unlocked;
    run(p, grad.view, x.view, asked.algorithm, asked.precision, dw.view, pointer(db));
  }
  return py::make_tuple(dw.owner, db ? db->owner : py::none());
}

// The functions of any number of spatial dimensions: shapes from arrays and arguments, then the pass.

py::array conv(int spatial, const py::object& x, const py::object& weight, const py::object& bias,
               const py::object& stride, const py::object& padding, const py::object& dilation,
               const py::object& groups, const py::object& activation, const py::object& algorithm,
               const py::object& memory_format, const py::object& out, const py::object& precision) {
  const char* op = name_of(spatial, Pass::forward);
  const Array a = read_floats({op, "x"}, x), w = read_floats({op, "weight"}, weight, a, kContiguous);
  const ConvProblem p =
      parse_conv_problem(op, spatial, a.view.shape, w.view.shape, stride, padding, dilation, groups);
  return forward(op, p, a, w, bias, activation, algorithm, memory_format, out, precision);
}

py::array conv_input_gradient(int spatial, const py::object& grad, const py::object& weight,
                              const py::object& input_shape, const py::object& stride,
                              const py::object& padding, const py::object& dilation, const py::object& groups,
                              const py::object& algorithm, const py::object& memory_format,
                              const py::object& out, const py::object& precision) {
  const char* op = name_of(spatial, Pass::backward_input);
  const Array g = read_floats({op, "grad"}, grad), w = read_floats({op, "weight"}, weight, g, kContiguous);
  const ConvProblem p = parse_conv_problem(op, spatial, parse_shape({op, "input_shape"}, input_shape),
                                           w.view.shape, stride, padding, dilation, groups);
  return backward_input(op, p, g, w, algorithm, memory_format, out, precision);
}

Gradients conv_weight_gradient(int spatial, const py::object& grad, const py::object& x,
                               const py::object& weight_shape, const py::object& stride,
                               const py::object& padding, const py::object& dilation, const py::object& groups,
                               bool bias, const py::object& algorithm, const py::object& precision) {
  const char* op = name_of(spatial, Pass::backward_weight);
  const Array g = read_floats({op, "grad"}, grad), a = read_floats({op, "x"}, x, g);
  const ConvProblem p =
      parse_conv_problem(op, spatial, a.view.shape, parse_shape({op, "weight_shape"}, weight_shape), stride,
                         padding, dilation, groups);
  return backward_weight(op, p, g, a, bias, algorithm, precision);
}

// The functions of a problem that was checked before.

py::array conv_forward(const ConvProblem& p, const py::object& x, const py::object& weight,
                       const py::object& bias, const py::object& activation, const py::object& algorithm,
                       const py::object& memory_format, const py::object& out, const py::object& precision) {
  const char* op = name_of(p.spatial, Pass::forward);
  const Array a = read_floats({op, "x"}, x), w = read_floats({op, "weight"}, weight, a, kContiguous);
  check_shape(op, "x", a.view.shape, p.input_shape());
  check_shape(op, "weight", w.view.shape, p.weight_shape());
  return forward(op, p, a, w, bias, activation, algorithm, memory_format, out, precision);
}

py::array conv_backward_input(const ConvProblem& p, const py::object& grad, const py::object& weight,
                              const py::object& algorithm, const py::object& memory_format,
                              const py::object& out, const py::object& precision) {
  const char* op = name_of(p.spatial, Pass::backward_input);
  const Array g = read_floats({op, "grad"}, grad), w = read_floats({op, "weight"}, weight, g, kContiguous);
  return backward_input(op, p, g, w, algorithm, memory_format, out, precision);
}

Gradients conv_backward_weight(const ConvProblem& p, const py::object& grad, const py::object& x, bool bias,
                               const py::object& algorithm, const py::object& precision) {
  const char* op = name_of(p.spatial, Pass::backward_weight);
  const Array g = read_floats({op, "grad"}, grad), a = read_floats({op, "x"}, x, g);
  return backward_weight(op, p, g, a, bias, algorithm, precision);
}

py::typing::Optional<py::str> conv_implementation(const ConvProblem& p, const py::object& pass,
                                                  const py::object& dtype, const py::object& source,
                                                  const py::object& result, const py::object& algorithm,
                                                  const py::object& device, const py::object& precision) {
  const char* op = "conv_implementation";
  const auto implementation =
      operation(op, parse_device({op, "device"}, device), &Backend::conv_implementation);
  const char* name =
      implementation(p, parse_pass({op, "pass"}, pass), parse_algorithm({op, "algorithm"}, algorithm),
                     parse_precision({op, "precision"}, precision), parse_dtype({op, "dtype"}, dtype),
                     parse_format({op, "source"}, source).value_or(MemoryFormat::contiguous),
                     parse_format({op, "result"}, result).value_or(MemoryFormat::contiguous));
  if (name == nullptr) return py::none();
  return py::str(name);
}

}   // namespace

void bind_conv(py::module_& m) {
  const py::object none = py::none();
  m.def("conv", conv, py::arg("spatial"), py::arg("x"), py::arg("weight"), py::arg("bias"), py::arg("stride"),
        py::arg("padding"), py::arg("dilation"), py::arg("groups"), py::arg("activation"), py::arg("algorithm"),
        py::arg("memory_format"), py::arg("out"), py::arg("precision") = "highest");
  m.def("conv_input_gradient", conv_input_gradient, py::arg("spatial"), py::arg("grad"), py::arg("weight"),
        py::arg("input_shape"), py::arg("stride"), py::arg("padding"), py::arg("dilation"), py::arg("groups"),
        py::arg("algorithm"), py::arg("memory_format"), py::arg("out"), py::arg("precision") = "highest");
  m.def("conv_weight_gradient", conv_weight_gradient, py::arg("spatial"), py::arg("grad"), py::arg("x"),
        py::arg("weight_shape"), py::arg("stride"), py::arg("padding"), py::arg("dilation"), py::arg("groups"),
        py::arg("bias"), py::arg("algorithm"), py::arg("precision") = "highest");
  m.def("conv_forward", conv_forward, py::arg("problem"), py::arg("x"), py::arg("weight"), py::arg("bias"),
        py::arg("activation"), py::arg("algorithm"), py::arg("memory_format"), py::arg("out"),
        py::arg("precision") = "highest");
  m.def("conv_backward_input", conv_backward_input, py::arg("problem"), py::arg("grad"), py::arg("weight"),
        py::arg("algorithm"), py::arg("memory_format"), py::arg("out"), py::arg("precision") = "highest");
  m.def("conv_backward_weight", conv_backward_weight, py::arg("problem"), py::arg("grad"), py::arg("x"),
        py::arg("bias"), py::arg("algorithm"), py::arg("precision") = "highest");
  m.def("conv_implementation", conv_implementation, py::arg("problem"), py::arg("pass_"),
        py::arg("dtype") = "float32", py::arg("source") = "contiguous", py::arg("result") = "contiguous",
        py::arg("algorithm") = "auto", py::arg("device") = "cpu", py::arg("precision") = "highest",
        "Name of the implementation that a call would run, or None where none accepts.\n\n"
        "source: how the input lies, in backward passes the gradient;\n"
        "result: how the result lies, for backward_weight the input.");
}

}   // namespace fastconv::bindings
