#include "bindings/arguments.hpp"
#include "bindings/bindings.hpp"
#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

using MaybeArray = py::typing::Optional<py::array>;
using Normalised = py::typing::Tuple<py::array, py::array, py::array>;
using Gradients = py::typing::Tuple<MaybeArray, MaybeArray, MaybeArray>;

// Group and layer normalisation differ in their shapes alone.
struct Shapes {
  GroupNormProblem problem;
  Shape weight, statistics;
};

Shapes group_shapes(const char* op, const Shape& input, int64_t groups) {
  const GroupNormProblem p = make_group_norm_problem(op, input, groups);
  return {p, {p.channels}, {p.batch, groups}};
}

Shapes layer_shapes(const char* op, const Shape& input, const Shape& normalized) {
  const GroupNormProblem p = make_layer_norm_problem(op, input, normalized);
  return {p, normalized, Shape(input.begin(), input.end() - std::ptrdiff_t(normalized.size()))};
}

std::optional<Array> read_weight(Argument argument, const py::object& object, const Array& like,
                                 const Shape& shape) {
  std::optional<Array> array = read_optional_floats(argument, object, like);
  if (array) check_shape(argument.operation, argument.name, array->view.shape, shape);
  return array;
}

Normalised forward(const char* op, const Array& a, const Shapes& shapes, const py::object& weight,
                   const py::object& bias, double eps) {
  if (!(eps >= 0))
    throw py::value_error(std::string(op) + ": eps must be at least 0, got " + std::to_string(eps));
  const auto w = read_weight({op, "weight"}, weight, a, shapes.weight);
  const auto b = read_weight({op, "bias"}, bias, a, shapes.weight);
  const Array y = make_array(a, a.view.shape, a.view.format);
  const DType kept = accumulator(a.view.dtype);
  const Array mean = make_array(a, kept, shapes.statistics), invstd = make_array(a, kept, shapes.statistics);
  const auto run = operation(op, a.view.device, &Backend::group_norm);
  {
    const WithoutGil unlocked;
    run(shapes.problem, eps, a.view, pointer(w), pointer(b), y.view, mean.view, invstd.view);
  }
  return py::make_tuple(y.owner, mean.owner, invstd.owner);
}

Gradients backward(const char* op, const py::object& grad, const Array& a, const Shapes& shapes,
                   const py::object& weight, const py::object& mean, const py::object& invstd,
                   const std::tuple<bool, bool, bool>& output_mask) {
  const Array g = read_floats({op, "grad"}, grad, a, a.view.format);
  check_shape(op, "grad", g.view.shape, a.view.shape);
  const auto w = read_weight({op, "weight"}, weight, a, shapes.weight);
  const Array m = read_statistics({op, "mean"}, mean, a, shapes.statistics);
  const Array s = read_statistics({op, "invstd"}, invstd, a, shapes.statistics);
  std::optional<Array> dx, dw, db;
  if (std::get<0>(output_mask)) dx = make_array(a, a.view.shape, a.view.format);
  if (std::get<1>(output_mask)) dw = make_array(a, shapes.weight);
  if (std::get<2>(output_mask)) db = make_array(a, shapes.weight);
  const auto run = operation(op, a.view.device, &Backend::group_norm_backward);
  {
    const WithoutGil unlocked;
    run(shapes.problem, g.view, a.view, pointer(w), m.view, s.view, pointer(dx), pointer(dw), pointer(db));
  }
  const auto result = [](const std::optional<Array>& array) { return array ? array->owner : py::none(); };
  return py::make_tuple(result(dx), result(dw), result(db));
}

Normalised group_norm(const py::object& x, const py::object& num_groups, const py::object& weight,
                      const py::object& bias, double eps) {
  const char* op = "group_norm";
  const Array a = read_floats({op, "x"}, x);
  return forward(op, a, group_shapes(op, a.view.shape, parse_int({op, "num_groups"}, num_groups)), weight, bias,
                 eps);
}

Gradients group_norm_backward(const py::object& grad, const py::object& x, const py::object& num_groups,
                              const py::object& weight, const py::object& mean, const py::object& invstd,
                              const std::tuple<bool, bool, bool>& output_mask) {
  const char* op = "group_norm_backward";
  const Array a = read_floats({op, "x"}, x);
  return backward(op, grad, a, group_shapes(op, a.view.shape, parse_int({op, "num_groups"}, num_groups)),
                  weight, mean, invstd, output_mask);
}

// A row is the last dimensions as they follow each other, so the memory must, too.
Normalised layer_norm(const py::object& x, const py::object& normalized_shape, const py::object& weight,
                      const py::object& bias, double eps) {
  const char* op = "layer_norm";
  const Array a = read_floats({op, "x"}, x, MemoryFormat::contiguous);
  return forward(op, a, layer_shapes(op, a.view.shape, parse_shape({op, "normalized_shape"}, normalized_shape)),
                 weight, bias, eps);
}

Gradients layer_norm_backward(const py::object& grad, const py::object& x, const py::object& normalized_shape,
                              const py::object& weight, const py::object& mean, const py::object& invstd,
                              const std::tuple<bool, bool, bool>& output_mask) {
  const char* op = "layer_norm_backward";
  const Array a = read_floats({op, "x"}, x, MemoryFormat::contiguous);
  return backward(op, grad, a,
                  layer_shapes(op, a.view.shape, parse_shape({op, "normalized_shape"}, normalized_shape)),
                  weight, mean, invstd, output_mask);
}

}   // namespace

void bind_group_norm(py::module_& m) {
  m.def("group_norm", group_norm, py::arg("x"), py::arg("num_groups"), py::arg("weight"), py::arg("bias"),
        py::arg("eps"));
  m.def("group_norm_backward", group_norm_backward, py::arg("grad"), py::arg("x"), py::arg("num_groups"),
        py::arg("weight"), py::arg("mean"), py::arg("invstd"), py::arg("output_mask"));
  m.def("layer_norm", layer_norm, py::arg("x"), py::arg("normalized_shape"), py::arg("weight"), py::arg("bias"),
        py::arg("eps"));
  m.def("layer_norm_backward", layer_norm_backward, py::arg("grad"), py::arg("x"), py::arg("normalized_shape"),
        py::arg("weight"), py::arg("mean"), py::arg("invstd"), py::arg("output_mask"));
}

}   // namespace fastconv::bindings
