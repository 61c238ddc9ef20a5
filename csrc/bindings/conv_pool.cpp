// Convolution and max pooling in one operation.
#include "bindings/bindings.hpp"
#include "bindings/conv.hpp"
#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

constexpr auto kContiguous = MemoryFormat::contiguous;   // weights, which every kernel packs anyway
constexpr int kSpatial = 2;

using Pooled = py::typing::Tuple<py::array, py::typing::Optional<py::array>>;

// A pooling's arguments as max_pool2d has them: kernel_size, stride, padding, dilation, ceil_mode.
PoolProblem parse_pooling(const char* op, const ConvProblem& p, const py::tuple& pooling) {
  if (p.spatial != kSpatial || pooling.size() != 5)
    throw py::value_error(std::string(op) +
                          ": expected a convolution in two dimensions, and as pooling "
                          "(kernel_size, stride, padding, dilation, ceil_mode)");
  return parse_windows(op, p.output_shape(), kSpatial, pooling[0], pooling[1], pooling[2], pooling[3],
                       pooling[4]);
}

Pooled conv2d_max_pool2d(const py::object& x, const py::object& weight, const py::object& bias,
                         const py::object& stride, const py::object& padding, const py::object& dilation,
                         const py::object& groups, const py::tuple& pooling, const py::object& activation,
                         const py::object& algorithm, const py::object& memory_format,
                         const py::object& return_indices, const py::object& precision) {
  const char* op = "conv2d";
  const Array a = read_floats({op, "x"}, x), w = read_floats({op, "weight"}, weight, a, kContiguous);
  const ConvProblem p =
      parse_conv_problem(op, kSpatial, a.view.shape, w.view.shape, stride, padding, dilation, groups);
  const Activation fused = parse_activation({op, "activation"}, activation);
  const Method asked = parse_method(op, algorithm, precision);
  const auto format = parse_format({op, "memory_format"}, memory_format);
  const std::optional<Array> b = read_optional_floats({op, "bias"}, bias, a);
  if (b) check_shape(op, "bias", b->view.shape, {p.out_channels});
  const PoolProblem pool = parse_pooling("max_pool2d", p, pooling);
  const Array y = make_array(a, pool.output_shape(), format.value_or(a.view.format));
  std::optional<Array> indices;
  if (parse_bool({op, "return_indices"}, return_indices))
    indices = make_array(a, DType::int64, pool.output_shape(), y.view.format);
  check_implemented(op, p, Pass::forward, asked, a.view, y.view);
  const auto run = operation("conv2d_max_pool2d", a.view.device, &Backend::conv_max_pool);
  {
    const WithoutGil unlocked;
    run(p, pool, a.view, w.view, pointer(b), fused, asked.algorithm, asked.precision, y.view, pointer(indices));
  }
  return py::make_tuple(y.owner, indices ? indices->owner : py::none());
}

using AllGradients = py::typing::Tuple<py::typing::Optional<py::array>, py::typing::Optional<py::array>,
                                       py::typing::Optional<py::array>>;

constexpr const char* kBackward = "conv2d_max_pool2d_backward";

// x, weight: none where dw with db, or dx, is not wanted.
AllGradients max_pool_backward(const ConvProblem& p, const Array& grad, const py::object& indices,
                               const std::optional<Array>& x, const std::optional<Array>& weight,
                               const py::tuple& pooling, bool bias, const py::object& algorithm,
                               const py::object& precision) {
  const char* op = kBackward;
  const PoolProblem pool = parse_pooling(op, p, pooling);
  const Method asked = parse_method(op, algorithm, precision);
  // The CPU backend turns them itself, on all threads.
  const auto format = grad.library ? std::optional(grad.view.format) : std::nullopt;
  const Array places = read_integers({op, "indices"}, indices, grad, false, format);
  check_shape(op, "grad", grad.view.shape, pool.output_shape());
  check_shape(op, "indices", places.view.shape, grad.view.shape);
  if (x) check_shape(op, "x", x->view.shape, p.input_shape());
  if (weight) check_shape(op, "weight", weight->view.shape, p.weight_shape());
  check_implemented(op, p, Pass::backward_weight, asked, grad.view, grad.view);
  std::optional<Array> dx, dw, db;
  if (weight) dx = make_array(grad, p.input_shape(), grad.view.format);
  if (x) dw = make_array(grad, p.weight_shape());
  if (x && bias) db = make_array(grad, {p.out_channels});
  const auto run = operation(op, grad.view.device, &Backend::conv_max_pool_backward);
  run_named(op, [&] {
    run(p, pool, grad.view, places.view, pointer(x), pointer(weight), asked.algorithm, asked.precision,
        pointer(dx), pointer(dw), pointer(db));
  });
  const auto owner = [](const std::optional<Array>& array) { return array ? array->owner : py::none(); };
  return py::make_tuple(owner(dx), owner(dw), owner(db));
}

AllGradients conv2d_max_pool2d_backward(const py::object& grad, const py::object& indices, const py::object& x,
                                        const py::object& weight, const py::object& stride,
                                        const py::object& padding, const py::object& dilation,
                                        const py::object& groups, const py::tuple& pooling, bool bias,
                                        const py::object& algorithm, const py::object& precision) {
  const char* op = kBackward;
  const Array g = read_floats({op, "grad"}, grad), a = read_floats({op, "x"}, x, g),
              w = read_floats({op, "weight"}, weight, g, kContiguous);
  const ConvProblem p =
      parse_conv_problem(op, kSpatial, a.view.shape, w.view.shape, stride, padding, dilation, groups);
  return max_pool_backward(p, g, indices, a, w, pooling, bias, algorithm, precision);
}

AllGradients conv_max_pool_backward(const ConvProblem& p, const py::object& grad, const py::object& indices,
                                    const py::object& x, const py::object& weight, const py::tuple& pooling,
                                    bool bias, const py::object& algorithm, const py::object& precision) {
  const char* op = kBackward;
  const Array g = read_floats({op, "grad"}, grad);
  const std::optional<Array> a = read_optional_floats({op, "x"}, x, g);
  std::optional<Array> w;
  if (!weight.is_none()) w = read_floats({op, "weight"}, weight, g, kContiguous);
  return max_pool_backward(p, g, indices, a, w, pooling, bias, algorithm, precision);
}

py::str conv_max_pool_backward_implementation(const ConvProblem& p, const py::object& pass,
                                              const py::tuple& pooling, const py::object& algorithm,
                                              const py::object& device) {
  const char* op = "conv_max_pool_backward_implementation";
  const auto implementation =
      operation(op, parse_device({op, "device"}, device), &Backend::conv_max_pool_backward_implementation);
  const Pass asked = parse_pass({op, "pass"}, pass);
  if (asked == Pass::forward) throw py::value_error(std::string(op) + ": pass must be a backward one");
  return py::str(
      implementation(p, parse_pooling(op, p, pooling), asked, parse_algorithm({op, "algorithm"}, algorithm)));
}

}   // namespace

void bind_conv_pool(py::module_& m) {
  m.def("conv2d_max_pool2d", conv2d_max_pool2d, py::arg("x"), py::arg("weight"), py::arg("bias"),
        py::arg("stride"), py::arg("padding"), py::arg("dilation"), py::arg("groups"), py::arg("pooling"),
        py::arg("activation"), py::arg("algorithm"), py::arg("memory_format"), py::arg("return_indices"),
        py::arg("precision") = "highest");
  m.def("conv2d_max_pool2d_backward", conv2d_max_pool2d_backward, py::arg("grad"), py::arg("indices"),
        py::arg("x"), py::arg("weight"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
        py::arg("groups"), py::arg("pooling"), py::arg("bias"), py::arg("algorithm"),
        py::arg("precision") = "highest");
  m.def("conv_max_pool_backward", conv_max_pool_backward, py::arg("problem"), py::arg("grad"),
        py::arg("indices"), py::arg("x"), py::arg("weight"), py::arg("pooling"), py::arg("bias"),
        py::arg("algorithm"), py::arg("precision") = "highest");
  m.def("conv_max_pool_backward_implementation", conv_max_pool_backward_implementation, py::arg("problem"),
        py::arg("pass_"), py::arg("pooling"), py::arg("algorithm") = "auto", py::arg("device") = "cpu",
        "\"sparse\" where a call takes the chosen cells alone, else \"spread\".");
}

}   // namespace fastconv::bindings
