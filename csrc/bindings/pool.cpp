#include "bindings/arguments.hpp"
#include "bindings/bindings.hpp"
#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

constexpr int kSpatial = 2;

py::typing::Tuple<py::array, py::typing::Optional<py::array>> max_pool2d(
    const py::object& x, const py::object& kernel_size, const py::object& stride, const py::object& padding,
    const py::object& dilation, bool ceil_mode, bool return_indices) {
  const char* op = "max_pool2d";
  const Array a = read_floats({op, "x"}, x);
  const PoolProblem p =
      parse_windows(op, a.view.shape, kSpatial, kernel_size, stride, padding, dilation, ceil_mode);
  const Array y = make_array(a, p.output_shape(), a.view.format);
  std::optional<Array> indices;
  if (return_indices) indices = make_array(a, DType::int64, p.output_shape(), a.view.format);
  const auto run = operation(op, a.view.device, &Backend::max_pool);
  {
    const WithoutGil unlocked;
    run(p, a.view, y.view, pointer(indices));
  }
  return py::make_tuple(y.owner, indices ? indices->owner : py::none());
}

py::array max_pool2d_backward(const py::object& grad, const py::object& indices, const py::object& input_shape,
                              const py::object& kernel_size, const py::object& stride,
                              const py::object& padding, const py::object& dilation, bool ceil_mode) {
  const char* op = "max_pool2d_backward";
  const Array g = read_floats({op, "grad"}, grad);
  // The CPU backend turns them itself, on all threads.
  const auto format = g.library ? std::optional(g.view.format) : std::nullopt;
  const Array places = read_integers({op, "indices"}, indices, g, false, format);
  const Shape input = parse_shape({op, "input_shape"}, input_shape);
  check_shape(op, "indices", places.view.shape, g.view.shape);
  PoolProblem p;
  if (kernel_size.is_none()) {
    p = make_scatter_problem(op, input, g.view.shape, kSpatial);
  } else {
    p = parse_windows(op, input, kSpatial, kernel_size, stride, padding, dilation, ceil_mode);
    check_shape(op, "grad", g.view.shape, p.output_shape());
  }
  const Array dx = make_array(g, input, g.view.format);
  const auto run = operation(op, g.view.device, &Backend::max_pool_backward);
  {
    const WithoutGil unlocked;
    run(p, g.view, places.view, dx.view);
  }
  return to_python(dx);
}

}   // namespace

void bind_pool(py::module_& m) {
  m.def("max_pool2d", max_pool2d, py::arg("x"), py::arg("kernel_size"), py::arg("stride"), py::arg("padding"),
        py::arg("dilation"), py::arg("ceil_mode"), py::arg("return_indices"));
  m.def("max_pool2d_backward", max_pool2d_backward, py::arg("grad"), py::arg("indices"), py::arg("input_shape"),
        py::arg("kernel_size"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
        py::arg("ceil_mode"));
}

}   // namespace fastconv::bindings
