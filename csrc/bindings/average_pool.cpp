#include "bindings/arguments.hpp"
#include "bindings/bindings.hpp"
#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

// "avg_pool2d_backward", for messages.
std::string name_of(const char* operation, int spatial, const char* pass = "") {
  if (spatial < 1 || spatial > kMaxSpatial) throw py::value_error("spatial must be 1, 2 or 3");
  return operation + std::to_string(spatial) + "d" + pass;
}

AverageParameters parameters(const char* op, const py::object& count_include_pad,
                             const py::object& divisor_override) {
  const bool counts = parse_bool({op, "count_include_pad"}, count_include_pad);
  if (divisor_override.is_none()) return {counts, 0};
  const int64_t divisor = parse_int({op, "divisor_override"}, divisor_override);
  if (divisor == 0) throw py::value_error(std::string(op) + ": divisor_override must not be 0");
  return {counts, divisor};
}

py::array forward(const char* op, const PoolProblem& p, const AverageParameters& given, const Array& x) {
  const Array y = make_array(x, p.output_shape(), x.view.format);
  const auto run = operation(op, x.view.device, &Backend::average_pool);
  {
    const WithoutGil unlocked;
    run(p, given, x.view, y.view);
  }
  return to_python(y);
}

py::array backward(const char* op, const PoolProblem& p, const AverageParameters& given, const Array& grad) {
  check_shape(op, "grad", grad.view.shape, p.output_shape());
  const Array dx = make_array(grad, p.input_shape(), grad.view.format);
  const auto run = operation(op, grad.view.device, &Backend::average_pool_backward);
  {
    const WithoutGil unlocked;
    run(p, given, grad.view, dx.view);
  }
  return to_python(dx);
}

py::array avg_pool(int spatial, const py::object& x, const py::object& kernel_size, const py::object& stride,
                   const py::object& padding, const py::object& ceil_mode, const py::object& count_include_pad,
                   const py::object& divisor_override) {
  const std::string name = name_of("avg_pool", spatial);
  const char* op = name.c_str();
  const Array a = read_floats({op, "x"}, x);
  const PoolProblem p =
      parse_windows(op, a.view.shape, spatial, kernel_size, stride, padding, py::int_(1), ceil_mode);
  return forward(op, p, parameters(op, count_include_pad, divisor_override), a);
}

py::array avg_pool_backward(int spatial, const py::object& grad, const py::object& input_shape,
                            const py::object& kernel_size, const py::object& stride, const py::object& padding,
                            const py::object& ceil_mode, const py::object& count_include_pad,
                            const py::object& divisor_override, const py::object& memory_format) {
  const std::string name = name_of("avg_pool", spatial, "_backward");
  const char* op = name.c_str();
  const Array g = read_floats({op, "grad"}, grad, parse_format({op, "memory_format"}, memory_format));
  const PoolProblem p = parse_windows(op, parse_shape({op, "input_shape"}, input_shape), spatial, kernel_size,
                                      stride, padding, py::int_(1), ceil_mode);
  return backward(op, p, parameters(op, count_include_pad, divisor_override), g);
}

py::array adaptive_avg_pool(int spatial, const py::object& x, const py::object& output_size) {
  const std::string name = name_of("adaptive_avg_pool", spatial);
  const char* op = name.c_str();
  const Array a = read_floats({op, "x"}, x);
  return forward(op, parse_adaptive(op, a.view.shape, spatial, output_size), {false, 0}, a);
}

py::array adaptive_avg_pool_backward(int spatial, const py::object& grad, const py::object& input_shape,
                                     const py::object& memory_format) {
  const std::string name = name_of("adaptive_avg_pool", spatial, "_backward");
  const char* op = name.c_str();
  const Array g = read_floats({op, "grad"}, grad, parse_format({op, "memory_format"}, memory_format));
  const PoolProblem p =
      adaptive_problem_of(op, parse_shape({op, "input_shape"}, input_shape), g.view.shape, spatial);
  return backward(op, p, {false, 0}, g);
}

py::str avg_pool_implementation(const PoolProblem& p, const py::object& pass, const py::object& dtype,
                                const py::object& format, const py::object& count_include_pad,
                                const py::object& divisor_override, const py::object& device) {
  const char* op = "avg_pool_implementation";
  const auto implementation =
      operation(op, parse_device({op, "device"}, device), &Backend::average_pool_implementation);
  return implementation(p, parameters(op, count_include_pad, divisor_override), parse_pass({op, "pass"}, pass),
                        parse_dtype({op, "dtype"}, dtype),
                        parse_format({op, "memory_format"}, format).value_or(MemoryFormat::contiguous));
}

}   // namespace

void bind_average_pool(py::module_& m) {
  m.def("avg_pool", avg_pool, py::arg("spatial"), py::arg("x"), py::arg("kernel_size"), py::arg("stride"),
        py::arg("padding"), py::arg("ceil_mode"), py::arg("count_include_pad"), py::arg("divisor_override"));
  m.def("avg_pool_backward", avg_pool_backward, py::arg("spatial"), py::arg("grad"), py::arg("input_shape"),
        py::arg("kernel_size"), py::arg("stride"), py::arg("padding"), py::arg("ceil_mode"),
        py::arg("count_include_pad"), py::arg("divisor_override"), py::arg("memory_format"));
  m.def("avg_pool_implementation", avg_pool_implementation, "Name of the kernel that a call would run.",
        py::arg("problem"), py::arg("pass_"), py::arg("dtype") = "float32",
        py::arg("memory_format") = "contiguous", py::arg("count_include_pad") = true,
        py::arg("divisor_override") = py::none(), py::arg("device") = "cpu");
  m.def("adaptive_avg_pool", adaptive_avg_pool, py::arg("spatial"), py::arg("x"), py::arg("output_size"));
  m.def("adaptive_avg_pool_backward", adaptive_avg_pool_backward, py::arg("spatial"), py::arg("grad"),
        py::arg("input_shape"), py::arg("memory_format"));
}

}   // namespace fastconv::bindings
