#include "problem.hpp"

#include <algorithm>
#include <limits>

#include "checks.hpp"

namespace fastconv {
namespace {

constexpr int64_t kMaxElements = std::numeric_limits<int64_t>::max() / 16;

void set_padding(const char* operation, const Padding& padding, ConvProblem& p) {
  if (padding.mode == Padding::Mode::same) {
    for (int i = 0; i < p.spatial; ++i) {
      if (p.stride[i] != 1) fail(operation, "padding=\"same\" needs stride 1, got ", str(p.stride, p.spatial));
      const int64_t total = p.dilation[i] * (p.kernel[i] - 1);
      if (total > kMaxParameter) fail(operation, "padding=\"same\" would add ", str(total), " cells, too many");
      p.pad_before[i] = total / 2;
      p.pad_after[i] = total - total / 2;   // the odd cell at the end
    }
  } else if (padding.mode == Padding::Mode::explicit_) {
    const Shape before(padding.before, padding.before + p.spatial);
    const Shape after(padding.after, padding.after + p.spatial);
    set_parameter(operation, "padding", before, p.spatial, 0, p.pad_before);
    set_parameter(operation, "padding", after, p.spatial, 0, p.pad_after);
  }
}

void check_channels(const char* operation, const ConvProblem& p, const Shape& input, const Shape& weight) {
  if (p.groups < 1) fail(operation, "groups must be at least 1, got ", str(p.groups));
  if (p.in_channels == 0) fail(operation, "input ", to_string(input), " has no channels");
  if (p.out_channels == 0) fail(operation, "weight ", to_string(weight), " has no output channels");
  int64_t expected = 0;
  const bool huge = __builtin_mul_overflow(weight[1], p.groups, &expected);
  if (huge || expected != p.in_channels)
    fail(operation, "input has ", str(p.in_channels), " channels but weight ", to_string(weight),
         " with groups=", str(p.groups), " expects ", huge ? "more" : str(expected), " (input shape ",
         to_string(input), ")");
  if (p.out_channels % p.groups != 0)
    fail(operation, "weight ", to_string(weight), " has ", str(p.out_channels),
         " output channels, which groups=", str(p.groups), " does not divide");
}

}   // namespace

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

int64_t checked_elements(const char* operation, const char* argument, const Shape& shape) {
  int64_t product = 1;
  bool empty = false;
  for (int64_t extent : shape) {
    if (extent < 0) fail(operation, argument, " has a negative extent: ", to_string(shape));
    if (extent == 0)
      empty = true;
    else if (__builtin_mul_overflow(product, extent, &product) || product > kMaxElements)
      fail(operation, argument, " of shape ", to_string(shape), " is too large to hold");
  }
  return empty ? 0 : product;
}

void check_shape(const char* operation, const char* argument, const Shape& got, const Shape& expected) {
  if (got != expected)
    fail(operation, argument, " has shape ", to_string(got), ", expected ", to_string(expected));
}

const char* input_names(int spatial) {
  static const char* const kNames[] = {"(N, C, W)", "(N, C, H, W)", "(N, C, D, H, W)"};
  return kNames[spatial - 1];
}

const char* weight_names(int spatial, bool transposed) {
  static const char* const kNames[2][kMaxSpatial] = {
      {"(out_channels, in_channels/groups, S)", "(out_channels, in_channels/groups, R, S)",
       "(out_channels, in_channels/groups, T, R, S)"},
      {"(in_channels, out_channels/groups, S)", "(in_channels, out_channels/groups, R, S)",
       "(in_channels, out_channels/groups, T, R, S)"}};
  return kNames[transposed][spatial - 1];
}

int spatial_dimensions(const char* operation, const Shape& stride) {
  if (stride.empty() || stride.size() > kMaxSpatial)
    fail(operation, "expected 1 to 3 spatial dimensions, got ", str(int64_t(stride.size())));
  return int(stride.size());
}

void check_dimensions(const char* operation, const char* argument, const Shape& shape, int spatial,
                      const char* names) {
  if (int(shape.size()) != spatial + 2)
    fail(operation, argument, " has shape ", to_string(shape), ", expected ", str(spatial + 2), " dimensions ",
         names);
}

void set_parameter(const char* operation, const char* name, const Shape& values, int spatial, int64_t least,
                   int64_t* target) {
  if (int(values.size()) != spatial)
    fail(operation, name, " has ", str(int64_t(values.size())), " values ", to_string(values), ", expected ",
         str(spatial));
  for (int i = 0; i < spatial; ++i) {
    if (values[i] < least) fail(operation, name, " must be at least ", str(least), ", got ", to_string(values));
    if (values[i] > kMaxParameter)
      fail(operation, name, " must be at most ", str(kMaxParameter), ", got ", to_string(values));
    target[i] = values[i];
  }
}

void check_not_empty(const char* operation, const Shape& input, int first) {
  for (size_t i = first; i < input.size(); ++i)
    if (input[i] == 0) fail(operation, "input ", to_string(input), " is empty; only the batch may be 0");
}

ConvProblem make_conv_problem(const char* operation, const Shape& input, const Shape& weight,
                              const Shape& stride, const Padding& padding, const Shape& dilation,
                              int64_t groups) {
  ConvProblem p;
  const int spatial = p.spatial = spatial_dimensions(operation, stride);
  check_dimensions(operation, "input", input, spatial, input_names(spatial));
  check_dimensions(operation, "weight", weight, spatial, weight_names(spatial, false));
  checked_elements(operation, "input", input);
  checked_elements(operation, "weight", weight);
  p.batch = input[0];
  p.in_channels = input[1];
  p.out_channels = weight[0];
  p.groups = groups;
  check_channels(operation, p, input, weight);
  check_not_empty(operation, input, 2);
  set_parameter(operation, "kernel size", Shape(weight.begin() + 2, weight.end()), spatial, 1, p.kernel);
  set_parameter(operation, "stride", stride, spatial, 1, p.stride);
  set_parameter(operation, "dilation", dilation, spatial, 1, p.dilation);
  set_padding(operation, padding, p);
  int64_t padded[kMaxSpatial];
  for (int i = 0; i < spatial; ++i) {
    p.input[i] = input[i + 2];
    padded[i] = p.input[i] + p.pad_before[i] + p.pad_after[i];
  }
  for (int i = 0; i < spatial; ++i) {
    const int64_t room = padded[i] - span(p.kernel[i], p.dilation[i]);
    if (room < 0)
      fail(operation, "kernel ", str(p.kernel, spatial), " with dilation ", str(p.dilation, spatial),
           " is larger than the padded input ", str(padded, spatial), " (input shape ", to_string(input), ")");
    p.output[i] = room / p.stride[i] + 1;
  }
  Shape padded_shape = {p.batch, p.in_channels};
  padded_shape.insert(padded_shape.end(), padded, padded + spatial);
  checked_elements(operation, "padded input", padded_shape);
  checked_elements(operation, "output", p.output_shape());
  return p;
}

namespace {

// Every window must hold an element of the input: one of padding alone has no maximum. Only dilated windows can
// step over the input: padding is at most half a kernel.
void check_windows(const char* operation, const PoolProblem& p) {
  if (p.batch == 0) return;
  for (int i = 0; i < p.spatial; ++i) {
    if (p.dilation[i] == 1) continue;
    for (int64_t o = 0; o < p.output[i]; ++o) {
      const int64_t start = o * p.stride[i] - p.padding[i];
      const int64_t first =
          start < 0 ? start + (-start + p.dilation[i] - 1) / p.dilation[i] * p.dilation[i] : start;
      if (first >= p.input[i] || first > start + (p.kernel[i] - 1) * p.dilation[i])
        fail(operation, "a window with dilation ", str(p.dilation[i]), " and padding ", str(p.padding[i]),
             " lies in the padding alone (input shape ", to_string(p.input_shape()), ")");
    }
  }
}

}   // namespace

PoolProblem make_pool_problem(const char* operation, const Shape& input, const Shape& kernel,
                              const Shape& stride, const Shape& padding, const Shape& dilation,
                              bool ceil_mode) {
  PoolProblem p;
  const int spatial = p.spatial = spatial_dimensions(operation, stride);
  check_dimensions(operation, "input", input, spatial, input_names(spatial));
  checked_elements(operation, "input", input);
  check_not_empty(operation, input, 1);
  p.batch = input[0];
  p.channels = input[1];
  p.ceil_mode = ceil_mode;
  set_parameter(operation, "kernel_size", kernel, spatial, 1, p.kernel);
  set_parameter(operation, "stride", stride, spatial, 1, p.stride);
  set_parameter(operation, "dilation", dilation, spatial, 1, p.dilation);
  set_parameter(operation, "padding", padding, spatial, 0, p.padding);
  const bool dilated = std::any_of(dilation.begin(), dilation.end(), [](int64_t step) { return step != 1; });
  for (int i = 0; i < spatial; ++i) {
    p.input[i] = input[i + 2];
    if (p.padding[i] > p.kernel[i] / 2)
      fail(operation, "padding ", to_string(padding), " must be at most half of kernel_size ",
           to_string(kernel));
    const int64_t padded = p.input[i] + 2 * p.padding[i];
    const int64_t room = padded - span(p.kernel[i], p.dilation[i]) + (ceil_mode ? p.stride[i] - 1 : 0);
    if (room < 0)
      fail(operation, "kernel_size ", to_string(kernel), dilated ? " with dilation " + to_string(dilation) : "",
           " is larger than the padded input (input shape ", to_string(input), ", padding ", to_string(padding),
           ")");
    p.output[i] = room / p.stride[i] + 1;
    // The last window must start inside the input or the padding before it.
    if (ceil_mode && (p.output[i] - 1) * p.stride[i] >= p.input[i] + p.padding[i]) --p.output[i];
  }
  checked_elements(operation, "output", p.output_shape());
  check_windows(operation, p);
  return p;
}

PoolProblem make_adaptive_pool_problem(const char* operation, const Shape& input, const Shape& output) {
  PoolProblem p;
  p.adaptive = true;
  const int spatial = p.spatial = spatial_dimensions(operation, output);
  check_dimensions(operation, "input", input, spatial, input_names(spatial));
  checked_elements(operation, "input", input);
  check_not_empty(operation, input, 1);
  p.batch = input[0];
  p.channels = input[1];
  set_parameter(operation, "output_size", output, spatial, 1, p.output);
  checked_elements(operation, "output", p.output_shape());
  bool even = true;
  for (int i = 0; i < spatial; ++i) {
    p.input[i] = input[i + 2];
    checked_elements(operation, "input times output_size", {p.input[i], p.output[i]});
    p.kernel[i] = (p.input[i] + p.output[i] - 1) / p.output[i];
    if (p.input[i] % p.output[i] != 0) ++p.kernel[i];
    p.kernel[i] = std::min(p.kernel[i], p.input[i]);
    even = even && p.input[i] % p.output[i] == 0;
  }
  if (!even) return p;
  // Windows that do not overlap, all alike: plain ones.
  p.adaptive = false;
  std::copy_n(p.kernel, spatial, p.stride);
  return p;
}

PoolProblem make_scatter_problem(const char* operation, const Shape& input, const Shape& output, int spatial) {
  PoolProblem p;
  p.spatial = spatial;
  check_dimensions(operation, "input_shape", input, spatial, input_names(spatial));
  check_dimensions(operation, "grad", output, spatial, input_names(spatial));
  checked_elements(operation, "input_shape", input);
  if (input[0] != output[0] || input[1] != output[1])
    fail(operation, "grad has shape ", to_string(output), ", expected (", str(input[0]), ", ", str(input[1]),
         ", ...) for input_shape ", to_string(input));
  p.batch = input[0];
  p.channels = input[1];
  for (int i = 0; i < spatial; ++i) {
    p.input[i] = input[i + 2];
    p.output[i] = output[i + 2];
    p.kernel[i] = 0;
  }
  return p;
}

LinearProblem make_linear_problem(const char* operation, const Shape& input, const Shape& weight) {
  if (input.empty()) fail(operation, "input has shape (), expected (..., in_features)");
  if (weight.size() != 2)
    fail(operation, "weight has shape ", to_string(weight),
         ", expected 2 dimensions (out_features, in_features)");
  checked_elements(operation, "input", input);
  checked_elements(operation, "weight", weight);
  if (input.back() != weight[1])
    fail(operation, "input has ", str(input.back()), " features but weight ", to_string(weight), " expects ",
         str(weight[1]), " (input shape ", to_string(input), ")");
  LinearProblem p;
  p.rows = checked_elements(operation, "input", Shape(input.begin(), input.end() - 1));
  p.in_features = weight[1];
  p.out_features = weight[0];
  checked_elements(operation, "output", {p.rows, p.out_features});
  return p;
}

}   // namespace fastconv
