#include "bindings/arguments.hpp"
#include "bindings/bindings.hpp"
#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

ResponseNormParameters parameters(const char* op, const py::object& size, double alpha, double beta, double k) {
  const auto refuse = [&](const char* what, double value) {
    throw py::value_error(std::string(op) + ": " + what + ", got " + std::to_string(value));
  };
  const int64_t channels = parse_int({op, "size"}, size);
  if (channels < 1)
    throw py::value_error(std::string(op) + ": size must be at least 1, got " + std::to_string(channels));
  // What is raised to -beta is not negative then.
  if (!(alpha >= 0)) refuse("alpha must be at least 0", alpha);
  if (!(k >= 0)) refuse("k must be at least 0", k);
  return {channels, alpha, beta, k};
}

py::array local_response_norm(const py::object& x, const py::object& size, double alpha, double beta,
                              double k) {
  const char* op = "local_response_norm";
  const Array a = read_floats({op, "x"}, x);
  const NormProblem p = make_norm_problem(op, a.view.shape);
  const ResponseNormParameters given = parameters(op, size, alpha, beta, k);
  const Array y = make_array(a, a.view.shape, a.view.format);
  const auto run = operation(op, a.view.device, &Backend::local_response_norm);
  {
    const WithoutGil unlocked;
    run(p, given, a.view, y.view);
  }
  return to_python(y);
}

py::array local_response_norm_backward(const py::object& grad, const py::object& x, const py::object& size,
                                       double alpha, double beta, double k) {
  const char* op = "local_response_norm_backward";
  const Array a = read_floats({op, "x"}, x);
  const Array g = read_floats({op, "grad"}, grad, a, a.view.format);
  check_shape(op, "grad", g.view.shape, a.view.shape);
  const NormProblem p = make_norm_problem(op, a.view.shape);
  const ResponseNormParameters given = parameters(op, size, alpha, beta, k);
  const Array dx = make_array(a, a.view.shape, a.view.format);
  const auto run = operation(op, a.view.device, &Backend::local_response_norm_backward);
  {
    const WithoutGil unlocked;
    run(p, given, g.view, a.view, dx.view);
  }
  return to_python(dx);
}

}   // namespace

void bind_local_response_norm(py::module_& m) {
  m.def("local_response_norm", local_response_norm, py::arg("x"), py::arg("size"), py::arg("alpha"),
        py::arg("beta"), py::arg("k"));
  m.def("local_response_norm_backward", local_response_norm_backward, py::arg("grad"), py::arg("x"),
        py::arg("size"), py::arg("alpha"), py::arg("beta"), py::arg("k"));
}

}   // namespace fastconv::bindings
