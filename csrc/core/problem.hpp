// What a problem is: plain data that says everything about one operation except where its arrays lie.
// Built and checked once by the make_* functions (problem.cpp), read by every backend.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fastconv {

constexpr int kMaxSpatial = 3;

using Shape = std::vector<int64_t>;

// Largest kernel, stride, dilation or padding; with checked_elements it keeps every sum below within int64.
constexpr int64_t kMaxParameter = (int64_t{1} << 31) - 1;

// Padding as the caller gave it; "same" is resolved in problem.cpp, where kernel and dilation are known.
struct Padding {
  enum class Mode { explicit_, same, valid };
  Mode mode = Mode::explicit_;
  int64_t before[kMaxSpatial] = {0, 0, 0};
  int64_t after[kMaxSpatial] = {0, 0, 0};
};

// Cross-correlation of input (N, C, *input) with weight (K, C/groups, *kernel) to output (N, K, *output).
// Entries [0, spatial) of each array are set, outermost dimension first: (h, w) in 2-D, (d, h, w) in 3-D.
struct ConvProblem {
  int spatial = 2;
  int64_t batch = 0, in_channels = 0, out_channels = 0, groups = 1;
  int64_t input[kMaxSpatial] = {1, 1, 1};
  int64_t kernel[kMaxSpatial] = {1, 1, 1};
  int64_t output[kMaxSpatial] = {1, 1, 1};
  int64_t stride[kMaxSpatial] = {1, 1, 1};
  int64_t dilation[kMaxSpatial] = {1, 1, 1};
  int64_t pad_before[kMaxSpatial] = {0, 0, 0};
  int64_t pad_after[kMaxSpatial] = {0, 0, 0};

  Shape input_shape() const;
  Shape weight_shape() const;
  Shape output_shape() const;
  // Counts that do not fit int64 are reported as its largest value.
  int64_t flops() const;                   // 2 * multiply-adds; the same for all three passes
  int64_t bytes(int64_t itemsize) const;   // input + weight + output, each touched once
};

// Windows over input (N, C, *input) to output (N, C, *output).
struct PoolProblem {
  int spatial = 2;
  int64_t batch = 0, channels = 0;
  int64_t input[kMaxSpatial] = {1, 1, 1};
  int64_t kernel[kMaxSpatial] = {1, 1, 1};
  int64_t output[kMaxSpatial] = {1, 1, 1};
  int64_t stride[kMaxSpatial] = {1, 1, 1};
  int64_t dilation[kMaxSpatial] = {1, 1, 1};
  int64_t padding[kMaxSpatial] = {0, 0, 0};
  bool ceil_mode = false;
  // Window o of a dimension holds the cells from floor(o * input / output) to ceil((o + 1) * input / output);
  // kernel: of the largest.
  bool adaptive = false;

  Shape input_shape() const;
  Shape output_shape() const;
  int64_t flops() const;   // one comparison or addition a window element
  int64_t bytes(int64_t itemsize) const;
};

// y (rows, out_features) = x (rows, in_features) times weight (out_features, in_features) transposed.
struct LinearProblem {
  int64_t rows = 0, in_features = 0, out_features = 0;

  int64_t flops() const;
  int64_t bytes(int64_t itemsize) const;
};

// Validation and shape inference. `operation` ("conv2d") opens every message; std::invalid_argument on bad
// input. The length of `stride` says how many spatial dimensions the operation has.
ConvProblem make_conv_problem(const char* operation, const Shape& input, const Shape& weight,
                              const Shape& stride, const Padding& padding, const Shape& dilation,
                              int64_t groups);
// The convolution whose backward-input is the transposed convolution of this input (N, C, *input) with weight
// (C, K/groups, *kernel): its output is `input`, its input the result. `padding` is taken off both ends,
// `output_padding` added at the end, less than the stride or the dilation.
ConvProblem make_conv_transpose_problem(const char* operation, const Shape& input, const Shape& weight,
                                        const Shape& stride, const Shape& padding, const Shape& output_padding,
                                        const Shape& dilation, int64_t groups);
PoolProblem make_pool_problem(const char* operation, const Shape& input, const Shape& kernel,
                              const Shape& stride, const Shape& padding, const Shape& dilation, bool ceil_mode);
// As many windows as `output`, the extents, says.
PoolProblem make_adaptive_pool_problem(const char* operation, const Shape& input, const Shape& output);
// For backward passes that know where each output came from but not by which windows: input and output extents,
// kernel 0.
PoolProblem make_scatter_problem(const char* operation, const Shape& input, const Shape& output, int spatial);
// Input (..., in_features): the leading dimensions become rows.
LinearProblem make_linear_problem(const char* operation, const Shape& input, const Shape& weight);

// `argument` of `operation` must have exactly the shape `expected`.
void check_shape(const char* operation, const char* argument, const Shape& got, const Shape& expected);
// Product of a shape; std::invalid_argument where an extent is negative or the product does not fit 63 bits
// with room for itemsize 16. Empty arrays count too: the product of their other extents has to fit.
int64_t checked_elements(const char* operation, const char* argument, const Shape& shape);

std::string to_string(const Shape& shape);   // "(64, 3, 32, 32)", "(7,)"

// One line of text, the same in test ids, bench rows and bug reports (descriptor.cpp):
//   conv    n64c3h32w32k16r5s5sh1sw1ph2pw2  with defaults and square pairs left out: n64c3h32k16r5p2
//   pool    pool:n64c16h28r2s2              linear  linear:n64i400o120
std::string describe(const ConvProblem& problem);
std::string describe(const PoolProblem& problem);
std::string describe(const LinearProblem& problem);
ConvProblem parse_conv(const std::string& descriptor);
PoolProblem parse_pool(const std::string& descriptor);
LinearProblem parse_linear(const std::string& descriptor);

}   // namespace fastconv
