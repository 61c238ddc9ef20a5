#include "checks.hpp"

namespace fastconv {
namespace {

// (size - 1) * stride + span - 2 * padding + output_padding; at most 0 where nothing is left.
int64_t transposed_extent(const char* operation, const Shape& input, const ConvProblem& p, int i,
                          int64_t output_padding) {
  int64_t extent = 0;
  if (__builtin_mul_overflow(p.output[i] - 1, p.stride[i], &extent) ||
      __builtin_add_overflow(extent, span(p.kernel[i], p.dilation[i]) + output_padding, &extent))
    fail(operation, "output is too large to hold (input shape ", to_string(input), ", stride ",
         str(p.stride, p.spatial), ")");
  return extent - 2 * p.pad_before[i];
}

void check_transposed_channels(const char* operation, const ConvProblem& p, const Shape& input,
                               const Shape& weight) {
  if (p.groups < 1) fail(operation, "groups must be at least 1, got ", str(p.groups));
  if (p.out_channels == 0) fail(operation, "input ", to_string(input), " has no channels");
  if (weight[1] == 0) fail(operation, "weight ", to_string(weight), " has no output channels");
  if (weight[0] != p.out_channels)
    fail(operation, "input has ", str(p.out_channels), " channels but weight ", to_string(weight), " expects ",
         str(weight[0]), " (input shape ", to_string(input), ")");
  if (p.out_channels % p.groups != 0)
    fail(operation, "weight ", to_string(weight), " has ", str(p.out_channels),
         " input channels, which groups=", str(p.groups), " does not divide");
}

}   // namespace

ConvProblem make_conv_transpose_problem(const char* operation, const Shape& input, const Shape& weight,
                                        const Shape& stride, const Shape& padding, const Shape& output_padding,
                                        const Shape& dilation, int64_t groups) {
  ConvProblem p;
  const int spatial = p.spatial = spatial_dimensions(operation, stride);
  check_dimensions(operation, "input", input, spatial, input_names(spatial));
  check_dimensions(operation, "weight", weight, spatial, weight_names(spatial, true));
  checked_elements(operation, "input", input);
  checked_elements(operation, "weight", weight);
  p.batch = input[0];
  p.out_channels = input[1];
  p.groups = groups;
  check_transposed_channels(operation, p, input, weight);
  if (__builtin_mul_overflow(weight[1], groups, &p.in_channels))
    fail(operation, "weight ", to_string(weight), " with groups=", str(groups),
         " has too many output channels");
  check_not_empty(operation, input, 2);
  int64_t more[kMaxSpatial];
  set_parameter(operation, "kernel size", Shape(weight.begin() + 2, weight.end()), spatial, 1, p.kernel);
  set_parameter(operation, "stride", stride, spatial, 1, p.stride);
  set_parameter(operation, "dilation", dilation, spatial, 1, p.dilation);
  set_parameter(operation, "padding", padding, spatial, 0, p.pad_before);
  set_parameter(operation, "output_padding", output_padding, spatial, 0, more);
  for (int i = 0; i < spatial; ++i) {
    if (more[i] >= p.stride[i] && more[i] >= p.dilation[i])
      fail(operation, "output_padding ", to_string(output_padding), " must be smaller than stride ",
           to_string(stride), " or dilation ", to_string(dilation));
    p.output[i] = input[i + 2];
    p.input[i] = transposed_extent(operation, input, p, i, more[i]);
    if (p.input[i] < 1)
      fail(operation, "padding ", to_string(padding), " leaves no output (input shape ", to_string(input),
           ", kernel ", str(p.kernel, spatial), ")");
    p.pad_after[i] =
        p.pad_before[i] - more[i] / p.stride[i] * p.stride[i];   // as many windows as the input has
  }
  checked_elements(operation, "output", p.input_shape());
  return p;
}

}   // namespace fastconv
