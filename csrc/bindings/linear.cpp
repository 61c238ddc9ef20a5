#include "bindings/arguments.hpp"
#include "bindings/bindings.hpp"
#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

constexpr auto kContiguous = MemoryFormat::contiguous;

// (..., features) as the backend sees it: (rows, features).
View as_matrix(const View& view, int64_t rows) {
  View matrix = view;
  matrix.shape = {rows, view.shape.back()};
  return matrix;
}

Shape with_last(Shape shape, int64_t last) {
  shape.back() = last;
  return shape;
}

[[noreturn]] void bad_grad(const char* op, const Shape& grad, const std::string& expected) {
  throw py::value_error(std::string(op) + ": grad has shape " + to_string(grad) + ", expected " + expected);
}

py::array linear(const py::object& x, const py::object& weight, const py::object& bias,
                 const py::object& activation, const py::object& precision) {
  const char* op = "linear";
  const Array a = read_floats({op, "x"}, x, kContiguous), w = read_floats({op, "weight"}, weight, a);
  const Activation fused = parse_activation({op, "activation"}, activation);
  const Precision products = parse_precision({op, "precision"}, precision);
  const LinearProblem p = make_linear_problem(op, a.view.shape, w.view.shape);
  const std::optional<Array> b = read_optional_floats({op, "bias"}, bias, a);
  if (b) check_shape(op, "bias", b->view.shape, {p.out_features});
  const Array y = make_array(a, with_last(a.view.shape, p.out_features));
  const auto run = operation(op, a.view.device, &Backend::linear);
  {
    const WithoutGil unlocked;
    run(p, as_matrix(a.view, p.rows), w.view, pointer(b), fused, products, as_matrix(y.view, p.rows));
  }
  return to_python(y);
}

Array backward_input(const char* op, const Array& g, const Array& w, const py::object& precision) {
  const Precision products = parse_precision({op, "precision"}, precision);
  const Shape &from = g.view.shape, &shape = w.view.shape;
  if (shape.size() == 2 && (from.empty() || from.back() != shape[0]))
    bad_grad(op, from, "(..., " + std::to_string(shape[0]) + ") for weight " + to_string(shape));
  const Shape to = shape.size() == 2 ? with_last(from, shape[1]) : from;
  const LinearProblem p = make_linear_problem(op, to, shape);
  const Array dx = make_array(g, to);
  const auto run = operation(op, g.view.device, &Backend::linear_backward_input);
  {
    const WithoutGil unlocked;
    run(p, as_matrix(g.view, p.rows), w.view, products, as_matrix(dx.view, p.rows));
  }
  return dx;
}

// dw and, where `bias`, db.
std::pair<py::object, py::object> backward_weight(const char* op, const Array& g, const Array& a, bool bias,
                                                  const py::object& precision) {
  const Precision products = parse_precision({op, "precision"}, precision);
  const Shape &from = g.view.shape, &input = a.view.shape;
  if (from.empty() || input.empty() || with_last(from, 0) != with_last(input, 0))
    bad_grad(op, from, "(..., out_features) with the leading dimensions of x " + to_string(input));
  const Shape weight{from.back(), input.back()};
  const LinearProblem p = make_linear_problem(op, input, weight);
  const Array dw = make_array(g, weight);
  std::optional<Array> db;
  if (bias) db = make_array(g, {p.out_features});
  const auto run = operation(op, g.view.device, &Backend::linear_backward_weight);
  {
    const WithoutGil unlocked;
    run(p, as_matrix(g.view, p.rows), as_matrix(a.view, p.rows), products, dw.view, pointer(db));
  }
  return {dw.owner, db ? db->owner : py::none()};
}

py::array linear_backward_input(const py::object& grad, const py::object& weight, const py::object& precision) {
  const char* op = "linear_backward_input";
  const Array g = read_floats({op, "grad"}, grad, kContiguous), w = read_floats({op, "weight"}, weight, g);
  return to_python(backward_input(op, g, w, precision));
}

py::typing::Tuple<py::array, py::typing::Optional<py::array>> linear_backward_weight(
    const py::object& grad, const py::object& x, bool bias, const py::object& precision) {
  const char* op = "linear_backward_weight";
  const Array g = read_floats({op, "grad"}, grad, kContiguous), a = read_floats({op, "x"}, x, g, kContiguous);
  const auto [dw, db] = backward_weight(op, g, a, bias, precision);
  return py::make_tuple(dw, db);
}

py::typing::Tuple<py::array, py::array, py::typing::Optional<py::array>> linear_backward(
    const py::object& grad, const py::object& x, const py::object& weight, bool bias,
    const py::object& precision) {
  const char* op = "linear_backward";
  const Array g = read_floats({op, "grad"}, grad, kContiguous), a = read_floats({op, "x"}, x, g, kContiguous),
              w = read_floats({op, "weight"}, weight, g);
  make_linear_problem(op, a.view.shape, w.view.shape);
  const Array dx = backward_input(op, g, w, precision);
  const auto [dw, db] = backward_weight(op, g, a, bias, precision);
  return py::make_tuple(dx.owner, dw, db);
}

}   // namespace

void bind_linear(py::module_& m) {
  m.def("linear", linear, py::arg("x"), py::arg("weight"), py::arg("bias"), py::arg("activation"),
        py::arg("precision") = "highest");
  m.def("linear_backward_input", linear_backward_input, py::arg("grad"), py::arg("weight"),
        py::arg("precision") = "highest");
  m.def("linear_backward_weight", linear_backward_weight, py::arg("grad"), py::arg("x"), py::arg("bias"),
        py::arg("precision") = "highest");
  m.def("linear_backward", linear_backward, py::arg("grad"), py::arg("x"), py::arg("weight"), py::arg("bias"),
        py::arg("precision") = "highest");
}

}   // namespace fastconv::bindings
