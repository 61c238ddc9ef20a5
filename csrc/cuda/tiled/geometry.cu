#include <algorithm>

#include "build.hpp"

namespace fastconv::cuda::tiled {
namespace {

struct PlanarAxis {
  int64_t in, kernel, out, stride, dilation, pad;
};

// Axis 0 is the height, 1 the width; 1-D problems have a height of 1.
PlanarAxis planar_axis(const ConvProblem& p, int axis) {
  const int d = axis - (2 - p.spatial);
  if (d < 0) return {1, 1, 1, 1, 1, 0};
  return {p.input[d], p.kernel[d], p.output[d], p.stride[d], p.dilation[d], p.pad_before[d]};
}

CorrelationAxis forward_axis(const PlanarAxis& a) {
  CorrelationAxis axis;
  axis.in = int(a.in);
  axis.extent = int(a.out);
  axis.stride = int(a.stride);
  axis.taps = int(a.kernel);
  AxisPart& part = axis.part[0];
  part.taps = int(a.kernel);
  part.first = int(-a.pad);
  part.step = int(a.dilation);
  part.out = int(a.out);
  part.kernel_step = 1;
  part.out_divisor = Divisor32(a.out);
  return axis;
}

// Input position i gets output o through tap k where o * stride = i + pad - k * dilation: one part for each
// residue of i modulo the stride, some without a tap.
CorrelationAxis backward_axis(const PlanarAxis& a) {
  CorrelationAxis axis;
  axis.in = int(a.out);
  axis.extent = int(a.in);
  axis.out_step = int(a.stride);
  axis.parts = int(std::min(a.stride, a.in));
  axis.taps = 0;
  for (int residue = 0; residue < axis.parts; ++residue) {
    AxisPart& part = axis.part[residue];
    part.out = int((a.in - residue + a.stride - 1) / a.stride);
    part.out_first = residue;
    part.out_divisor = Divisor32(part.out);
    part.taps_before = axis.taps;
    for (int64_t k = 0; k < a.kernel; ++k) {
      if ((residue + a.pad - k * a.dilation) % a.stride != 0) continue;
      if (part.taps == 0) {
        part.kernel_first = int(k);
        part.first = int((residue + a.pad - k * a.dilation) / a.stride);
      } else if (part.taps == 1) {
        part.kernel_step = int(k) - part.kernel_first;
        part.step = int(-part.kernel_step * a.dilation / a.stride);
      }
      ++part.taps;
    }
    axis.taps += part.taps;
  }
  return axis;
}

}   // namespace

Correlation forward_correlation(const ConvProblem& p) {
  Correlation c{};
  c.h = forward_axis(planar_axis(p, 0));
  c.w = forward_axis(planar_axis(p, 1));
  c.batch = int(p.batch);
  c.groups = int(p.groups);
  c.channels = int(p.in_channels / p.groups);
  c.out_channels = int(p.out_channels / p.groups);
  return c;
}

Correlation backward_correlation(const ConvProblem& p) {
  Correlation c{};
  c.h = backward_axis(planar_axis(p, 0));
  c.w = backward_axis(planar_axis(p, 1));
  c.batch = int(p.batch);
  c.groups = int(p.groups);
  c.channels = int(p.out_channels / p.groups);
  c.out_channels = int(p.in_channels / p.groups);
  return c;
}

WeightGradient weight_gradient_of(const ConvProblem& p, int depth) {
  const PlanarAxis h = planar_axis(p, 0), w = planar_axis(p, 1);
  WeightGradient g{};
  g.h_in = int(h.in), g.w_in = int(w.in), g.h_out = int(h.out), g.w_out = int(w.out);
  g.h_stride = int(h.stride), g.w_stride = int(w.stride), g.h_first = int(-h.pad), g.w_first = int(-w.pad);
  g.h_step = int(h.dilation), g.w_step = int(w.dilation), g.h_taps = int(h.kernel), g.w_taps = int(w.kernel);
  g.groups = int(p.groups);
  g.channels = int(p.in_channels / p.groups);
  g.out_channels = int(p.out_channels / p.groups);
  g.positions = int(p.batch * h.out * w.out);
  g.advance_column = depth % g.w_out;
  g.advance_row = depth / g.w_out % g.h_out;
  g.advance_image = depth / g.w_out / g.h_out;
  g.h_out_divisor = Divisor32(h.out);
  g.w_out_divisor = Divisor32(w.out);
  return g;
}

}   // namespace fastconv::cuda::tiled
