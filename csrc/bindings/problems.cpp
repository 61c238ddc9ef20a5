// ConvProblem, PoolProblem and LinearProblem as Python objects: immutable, equal where their descriptors are.
#include <pybind11/pybind11.h>

#include "bindings/arguments.hpp"
#include "bindings/bindings.hpp"
#include "core/norm_problem.hpp"
#include "core/problem.hpp"

namespace fastconv::bindings {
namespace {

using IntTuple = py::typing::Tuple<int, py::ellipsis>;

IntTuple to_tuple(const int64_t* values, size_t count) {
  py::tuple result(count);
  for (size_t i = 0; i < count; ++i) result[i] = py::int_(values[i]);
  return py::reinterpret_steal<IntTuple>(result.release());
}

IntTuple to_tuple(const Shape& shape) { return to_tuple(shape.data(), shape.size()); }

template <class P, class Class>
void spatial(Class& c, const char* name, int64_t (P::*member)[kMaxSpatial]) {
  c.def_property_readonly(name, [member](const P& p) { return to_tuple(p.*member, size_t(p.spatial)); });
}

template <class P, class Class>
void common(Class& c, P (*parse)(const std::string&)) {
  c.def(py::init(parse), py::arg("descriptor"), "From its descriptor, the text that str() gives.")
      .def("__str__", [](const P& p) { return describe(p); })
      .def("__repr__",
           [](const py::object& self) {
             return std::string(py::str(py::type::of(self).attr("__name__"))) + "('" +
                    describe(self.cast<P>()) + "')";
           })
      .def("__eq__",
           [](const P& p, const py::object& other) {
             return py::isinstance<P>(other) && describe(p) == describe(other.cast<P>());
           })
      .def("__hash__", [](const P& p) { return std::hash<std::string>()(describe(p)); })
      .def("__reduce__",
           [](const py::object& self) {
             return py::make_tuple(py::type::of(self), py::make_tuple(py::str(self)));
           })
      .def_property_readonly("flops", &P::flops)
      .def("bytes", &P::bytes, py::arg("itemsize"), "Bytes of input, weight and output, each touched once.");
}

// "conv2d", "conv3d_backward_input": the digit before the d.
int spatial_of(const std::string& operation) {
  for (int spatial = 1; spatial <= kMaxSpatial; ++spatial)
    if (operation.find(std::to_string(spatial) + "d") != std::string::npos) return spatial;
  throw py::value_error("operation must name its dimensions as \"conv2d\" does, got \"" + operation + "\"");
}

ConvProblem conv_problem(const py::object& x_shape, const py::object& weight_shape, const py::object& stride,
                         const py::object& padding, const py::object& dilation, const py::object& groups,
                         const std::string& operation) {
  const char* op = operation.c_str();
  const int spatial = spatial_of(operation);
  return make_conv_problem(
      op, parse_shape({op, "input shape"}, x_shape), parse_shape({op, "weight shape"}, weight_shape),
      parse_sizes({op, "stride"}, stride, spatial), parse_padding({op, "padding"}, padding, spatial),
      parse_sizes({op, "dilation"}, dilation, spatial), parse_int({op, "groups"}, groups));
}

}   // namespace

void bind_problems(py::module_& m) {
  py::class_<ConvProblem> conv(m, "ConvProblem", "One convolution: its shapes and parameters, checked.");
  common<ConvProblem>(conv, parse_conv);
  conv.def_readonly("batch", &ConvProblem::batch)
      .def_readonly("in_channels", &ConvProblem::in_channels)
      .def_readonly("out_channels", &ConvProblem::out_channels)
      .def_readonly("groups", &ConvProblem::groups)
      .def_property_readonly(
          "padding",
          [](const ConvProblem& p) {
            py::tuple pairs(static_cast<size_t>(p.spatial));
            for (int i = 0; i < p.spatial; ++i)
              pairs[size_t(i)] = py::make_tuple(p.pad_before[i], p.pad_after[i]);
            return py::reinterpret_steal<py::typing::Tuple<py::typing::Tuple<int, int>, py::ellipsis>>(
                pairs.release());
          },
          "A pair (before, after) for each spatial dimension.")
      .def_property_readonly("input_shape", [](const ConvProblem& p) { return to_tuple(p.input_shape()); })
      .def_property_readonly("weight_shape", [](const ConvProblem& p) { return to_tuple(p.weight_shape()); })
      .def_property_readonly("output_shape", [](const ConvProblem& p) { return to_tuple(p.output_shape()); });
  spatial<ConvProblem>(conv, "input", &ConvProblem::input);
  spatial<ConvProblem>(conv, "kernel", &ConvProblem::kernel);
  spatial<ConvProblem>(conv, "stride", &ConvProblem::stride);
  spatial<ConvProblem>(conv, "dilation", &ConvProblem::dilation);
  spatial<ConvProblem>(conv, "output", &ConvProblem::output);

  py::class_<PoolProblem> pool(m, "PoolProblem", "One pooling: its shapes and parameters, checked.");
  common<PoolProblem>(pool, parse_pool);
  pool.def_readonly("batch", &PoolProblem::batch)
      .def_readonly("channels", &PoolProblem::channels)
      .def_readonly("ceil_mode", &PoolProblem::ceil_mode)
      .def_property_readonly("input_shape", [](const PoolProblem& p) { return to_tuple(p.input_shape()); })
      .def_property_readonly("output_shape", [](const PoolProblem& p) { return to_tuple(p.output_shape()); });
  spatial<PoolProblem>(pool, "input", &PoolProblem::input);
  spatial<PoolProblem>(pool, "kernel", &PoolProblem::kernel);
  spatial<PoolProblem>(pool, "stride", &PoolProblem::stride);
  spatial<PoolProblem>(pool, "dilation", &PoolProblem::dilation);
  spatial<PoolProblem>(pool, "padding", &PoolProblem::padding);
  spatial<PoolProblem>(pool, "output", &PoolProblem::output);

  py::class_<LinearProblem> linear(m, "LinearProblem", "One fully connected layer: its extents.");
  common<LinearProblem>(linear, parse_linear);
  linear.def_readonly("rows", &LinearProblem::rows)
      .def_readonly("in_features", &LinearProblem::in_features)
      .def_readonly("out_features", &LinearProblem::out_features)
      .def_property_readonly("input_shape",
                             [](const LinearProblem& p) { return to_tuple({p.rows, p.in_features}); })
      .def_property_readonly("weight_shape",
                             [](const LinearProblem& p) { return to_tuple({p.out_features, p.in_features}); })
      .def_property_readonly("output_shape",
                             [](const LinearProblem& p) { return to_tuple({p.rows, p.out_features}); });

  py::class_<NormProblem> norm(m, "NormProblem", "One normalisation: the shape of its array.");
  common<NormProblem>(norm, parse_norm);
  norm.def_readonly("batch", &NormProblem::batch)
      .def_readonly("channels", &NormProblem::channels)
      .def_property_readonly("input_shape", [](const NormProblem& p) { return to_tuple(p.input_shape()); })
      .def_property_readonly("output_shape", [](const NormProblem& p) { return to_tuple(p.input_shape()); });
  spatial<NormProblem>(norm, "input", &NormProblem::input);

  m.def("conv_problem", conv_problem, py::arg("x_shape"), py::arg("weight_shape"), py::arg("stride") = 1,
        py::arg("padding") = 0, py::arg("dilation") = 1, py::arg("groups") = 1,
        py::arg("operation") = "conv2d");
  m.def(
      "linear_problem",
      [](const py::object& x_shape, const py::object& weight_shape) {
        return make_linear_problem("linear", parse_shape({"linear", "input shape"}, x_shape),
                                   parse_shape({"linear", "weight shape"}, weight_shape));
      },
      py::arg("x_shape"), py::arg("weight_shape"));
  m.def(
      "parse_descriptor",
      [](const std::string& text) -> py::typing::Union<ConvProblem, PoolProblem, LinearProblem, NormProblem> {
        if (text.rfind("pool:", 0) == 0) return py::cast(parse_pool(text));
        if (text.rfind("linear:", 0) == 0) return py::cast(parse_linear(text));
        if (text.rfind("norm:", 0) == 0) return py::cast(parse_norm(text));
        return py::cast(parse_conv(text));
      },
      py::arg("descriptor"), "The problem that a descriptor names; ValueError says which part is wrong.");
}

}   // namespace fastconv::bindings
