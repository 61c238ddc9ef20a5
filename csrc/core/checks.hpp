// What the make_* functions share: messages and the checks behind them (problem.cpp).
#pragma once

#include <stdexcept>

#include "problem.hpp"

namespace fastconv {

template <class... Parts>
[[noreturn]] void fail(const char* operation, const Parts&... parts) {
  std::string message = std::string(operation) + ": ";
  (message.append(parts), ...);
  throw std::invalid_argument(message);
}

inline std::string str(int64_t value) { return std::to_string(value); }
inline std::string str(const int64_t* values, int count) { return to_string(Shape(values, values + count)); }

// "(N, C, H, W)", and of a weight, which a transposed convolution's begins with the input channels.
const char* input_names(int spatial);
const char* weight_names(int spatial, bool transposed);

int spatial_dimensions(const char* operation, const Shape& stride);
void check_dimensions(const char* operation, const char* argument, const Shape& shape, int spatial,
                      const char* names);
void check_not_empty(const char* operation, const Shape& input, int first);
// A parameter with one value for each spatial dimension, each in [least, kMaxParameter].
void set_parameter(const char* operation, const char* name, const Shape& values, int spatial, int64_t least,
                   int64_t* target);

// Cells that one window spans. Both factors are at most kMaxParameter.
constexpr int64_t span(int64_t kernel, int64_t dilation) { return dilation * (kernel - 1) + 1; }

}   // namespace fastconv
