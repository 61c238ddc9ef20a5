// Everything that is not an array: integers, sizes, padding and names as callers write them.
// TypeError for the wrong kind of object, ValueError for the wrong value; both name operation and argument.
#pragma once

#include <optional>

#include "bindings/arrays.hpp"
#include "core/backend.hpp"

namespace fastconv::bindings {

bool parse_bool(Argument argument, const py::handle& object);
int64_t parse_int(Argument argument, const py::handle& object);     // no bool, no float
double parse_number(Argument argument, const py::handle& object);   // no bool
Shape parse_shape(Argument argument, const py::handle& object);     // a tuple or list of integers
Shape parse_sizes(Argument argument, const py::handle& object,
                  int spatial);   // an integer or `spatial` of them
// An integer, `spatial` integers, `spatial` pairs (before, after), "same" or "valid".
Padding parse_padding(Argument argument, const py::handle& object, int spatial);

Activation parse_activation(Argument argument, const py::handle& object);   // None or a name
Algorithm parse_algorithm(Argument argument, const py::handle& object);
Precision parse_precision(Argument argument, const py::handle& object);
Reduction parse_reduction(Argument argument, const py::handle& object);
Pass parse_pass(Argument argument, const py::handle& object);
DType parse_dtype(Argument argument, const py::handle& object);     // a floating one
Device parse_device(Argument argument, const py::handle& object);   // "cpu" or "cuda", which is its first
std::optional<MemoryFormat> parse_format(Argument argument, const py::handle& object);   // None or a name

// Windows over an input of this shape; a stride of None is the kernel's size.
PoolProblem parse_windows(const char* operation, const Shape& input, int spatial, const py::object& kernel_size,
                          const py::object& stride, const py::object& padding, const py::object& dilation,
                          const py::object& ceil_mode);
// As many windows as output_size says, an integer or one for each dimension; None keeps the input's extent.
PoolProblem parse_adaptive(const char* operation, const Shape& input, int spatial,
                           const py::object& output_size);
// The adaptive windows whose results have the shape of `grad`.
PoolProblem adaptive_problem_of(const char* operation, const Shape& input, const Shape& grad, int spatial);

}   // namespace fastconv::bindings
