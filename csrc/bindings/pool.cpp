#include "bindings/arguments.hpp"
#include "bindings/bindings.hpp"
#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

using Pooled = py::typing::Tuple<py::array, py::typing::Optional<py::array>>;

constexpr const char *kForward[] = {"max_pool1d", "max_pool2d", "max_pool3d"},
                     *kBackward[] = {"max_pool1d_backward", "max_pool2d_backward", "max_pool3d_backward"},
                     *kAdaptive[] = {"adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"},
                     *kAdaptiveBackward[] = {"adaptive_max_pool1d_backward", "adaptive_max_pool2d_backward",
                                             "adaptive_max_pool3d_backward"};

const char* name_of(const char* const (&names)[kMaxSpatial], int spatial) {
  if (spatial < 1 || spatial > kMaxSpatial) throw py::value_error("spatial must be 1, 2 or 3");
  return names[spatial - 1];
}

Pooled forward(const char* op, const PoolProblem& p, const Array& x, bool return_indices) {
  const Array y = make_array(x, p.output_shape(), x.view.format);
  std::optional<Array> indices;
  if (return_indices) indices = make_array(x, DType::int64, p.output_shape(), x.view.format);
  const auto run = operation(op, x.view.device, &Backend::max_pool);
  {
    const WithoutGil unlocked;
    run(p, x.view, y.view, pointer(indices));
  }
  return py::make_tuple(y.owner, indices ? indices->owner : py::none());
}

Pooled max_pool(int spatial, const py::object& x, const py::object& kernel_size, const py::object& stride,
                const py::object& padding, const py::object& dilation, const py::object& ceil_mode,
                const py::object& return_indices) {
  const char* op = name_of(kForward, spatial);
  const Array a = read_floats({op, "x"}, x);
  const PoolProblem p =
      parse_windows(op, a.view.shape, spatial, kernel_size, stride, padding, dilation, ceil_mode);
  return forward(op, p, a, parse_bool({op, "return_indices"}, return_indices));
}

Pooled adaptive_max_pool(int spatial, const py::object& x, const py::object& output_size,
                         const py::object& return_indices) {
  const char* op = name_of(kAdaptive, spatial);
  const Array a = read_floats({op, "x"}, x);
  const bool indices = parse_bool({op, "return_indices"}, return_indices);
  return forward(op, parse_adaptive(op, a.view.shape, spatial, output_size), a, indices);
}

// problem_of(input shape, shape of grad)
template <class ProblemOf>
py::array backward(const char* op, const py::object& grad, const py::object& indices,
                   const py::object& input_shape, const ProblemOf& problem_of) {
  const Array g = read_floats({op, "grad"}, grad);
  // The CPU backend turns them itself, on all threads.
  const auto format = g.library ? std::optional(g.view.format) : std::nullopt;
  const Array places = read_integers({op, "indices"}, indices, g, false, format);
  const Shape input = parse_shape({op, "input_shape"}, input_shape);
  check_shape(op, "indices", places.view.shape, g.view.shape);
  const PoolProblem p = problem_of(input, g.view.shape);
  check_shape(op, "grad", g.view.shape, p.output_shape());
  const Array dx = make_array(g, input, g.view.format);
  const auto run = operation(op, g.view.device, &Backend::max_pool_backward);
  run_named(op, [&] { run(p, g.view, places.view, dx.view); });
  return to_python(dx);
}

py::array max_pool_backward(int spatial, const py::object& grad, const py::object& indices,
                            const py::object& input_shape, const py::object& kernel_size,
                            const py::object& stride, const py::object& padding, const py::object& dilation,
                            const py::object& ceil_mode) {
  const char* op = name_of(kBackward, spatial);
  return backward(op, grad, indices, input_shape, [&](const Shape& input, const Shape& output) {
    return kernel_size.is_none()
               ? make_scatter_problem(op, input, output, spatial)
               : parse_windows(op, input, spatial, kernel_size, stride, padding, dilation, ceil_mode);
  });
}

py::array adaptive_max_pool_backward(int spatial, const py::object& grad, const py::object& indices,
                                     const py::object& input_shape) {
  const char* op = name_of(kAdaptiveBackward, spatial);
  return backward(op, grad, indices, input_shape, [&](const Shape& input, const Shape& output) {
    return adaptive_problem_of(op, input, output, spatial);
  });
}

}   // namespace

void bind_pool(py::module_& m) {
  m.def("max_pool", max_pool, py::arg("spatial"), py::arg("x"), py::arg("kernel_size"), py::arg("stride"),
        py::arg("padding"), py::arg("dilation"), py::arg("ceil_mode"), py::arg("return_indices"));
  m.def("adaptive_max_pool", adaptive_max_pool, py::arg("spatial"), py::arg("x"), py::arg("output_size"),
        py::arg("return_indices"));
  m.def("max_pool_backward", max_pool_backward, py::arg("spatial"), py::arg("grad"), py::arg("indices"),
        py::arg("input_shape"), py::arg("kernel_size"), py::arg("stride"), py::arg("padding"),
        py::arg("dilation"), py::arg("ceil_mode"));
  m.def("adaptive_max_pool_backward", adaptive_max_pool_backward, py::arg("spatial"), py::arg("grad"),
        py::arg("indices"), py::arg("input_shape"));
}

}   // namespace fastconv::bindings
