// What the bindings of convolutions and of transposed ones share.
#pragma once

#include "bindings/arguments.hpp"

namespace fastconv::bindings {

// How a call is to be computed.
struct Method {
  Algorithm algorithm;
  Precision precision;
};
Method parse_method(const char* op, const py::object& algorithm, const py::object& precision);

ConvProblem parse_conv_problem(const char* op, int spatial, const Shape& input, const Shape& weight,
                               const py::object& stride, const py::object& padding, const py::object& dilation,
                               const py::object& groups);

// ValueError where nothing computes this pass so. `source`, `result`: as Backend::conv_implementation has them.
void check_implemented(const char* op, const ConvProblem&, Pass, Method, const View& source,
                       const View& result);

// Its name in a table of the operations of one, two and three spatial dimensions.
const char* name_in(const char* const (&names)[kMaxSpatial][3], int spatial, Pass);

}   // namespace fastconv::bindings
