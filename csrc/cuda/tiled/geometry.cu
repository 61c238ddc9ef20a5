#include <algorithm>
#include <numeric>

#include "../launch.cuh"
#include "build.hpp"

namespace fastconv::cuda::tiled {
namespace {

constexpr int64_t kMostLaunches = 64;
constexpr int64_t kMostBlocks = 65535;   // of a grid's z

struct SpatialAxis {
  int64_t in = 1, kernel = 1, out = 1, stride = 1, dilation = 1, pad = 0;
};

struct SpatialAxes {
  SpatialAxis d, h, w;
};

SpatialAxes spatial_axes(const ConvProblem& p) {
  SpatialAxes axes;
  SpatialAxis* const all[] = {&axes.d, &axes.h, &axes.w};
  for (int i = 0; i < p.spatial; ++i)
    *all[kMaxSpatial - p.spatial + i] = {p.input[i],  p.kernel[i],   p.output[i],
                                         p.stride[i], p.dilation[i], p.pad_before[i]};
  return axes;
}

// The source's coordinates that taps name, inside of it or not.
struct Reach {
  int64_t lowest, highest, extent;
};

Reach forward_reach(const SpatialAxis& a) {
  return {-a.pad, (a.out - 1) * a.stride - a.pad + (a.kernel - 1) * a.dilation, a.in};
}
Reach backward_reach(const SpatialAxis& a) {
  return {(a.pad - (a.kernel - 1) * a.dilation) / a.stride - 1, (a.in - 1 + a.pad) / a.stride, a.out};
}

// Bits of a field of Lines.
int width_of(const Reach& reach) {
  const int64_t most = std::max(reach.extent - reach.lowest, reach.highest + 1);
  int bits = 1;
  while ((int64_t{1} << (bits - 1)) < most) ++bits;
  return bits;
}

Lines lines_of(const Reach& d, const Reach& h) {
  const int shift = width_of(h);
  return {shift, uint32_t{1} << 31 | uint32_t{1} << (shift - 1),
          (uint32_t(d.extent) << shift) + uint32_t(h.extent)};
}

int64_t residues(const SpatialAxis& a) { return std::max<int64_t>(1, std::min(a.stride, a.in)); }

// Parts of each axis in one launch.
int64_t parts_a_launch(const ConvProblem& p, const SpatialAxes& a) {
  int64_t most = kMostParts;
  const auto parts = [&](const SpatialAxis& axis) { return std::min(residues(axis), most); };
  while (p.groups * parts(a.d) * parts(a.h) * parts(a.w) > kMostBlocks) most /= 2;
  return most;
}

CorrelationAxis forward_axis(const SpatialAxis& a) {
  CorrelationAxis axis;
  axis.in = int(a.in);
  axis.extent = int(a.out);
  axis.stride = int(a.stride);
  axis.step = int(a.dilation);
  axis.taps = int(a.kernel);
  AxisPart& part = axis.part[0];
  part.taps = int(a.kernel);
  part.first = int(-a.pad);
  part.out = int(a.out);
  part.out_divisor = Divisor32(a.out);
  return axis;
}

// Input position i gets output o through tap k where o * stride = i + pad - k * dilation: one part for each
// residue of i modulo the stride, some without a tap; the taps of one are `step` apart.
std::vector<AxisPart> backward_parts(const SpatialAxis& a, int64_t step) {
  std::vector<AxisPart> parts(size_t(residues(a)));
  for (int64_t k = 0; k < std::min(a.kernel, step); ++k) {
    const int64_t residue = ((k * a.dilation - a.pad) % a.stride + a.stride) % a.stride;
    if (residue >= residues(a)) continue;
    AxisPart& part = parts[size_t(residue)];
    part.kernel_first = int(k);
    part.first = int((residue + a.pad - k * a.dilation) / a.stride);
    part.taps = int(ceil_div(a.kernel - k, step));
  }
  int before = 0;
  for (size_t residue = 0; residue < parts.size(); ++residue) {
    AxisPart& part = parts[residue];
    part.out = int(ceil_div(a.in - int64_t(residue), a.stride));
    part.out_first = int(residue);
    part.out_divisor = Divisor32(part.out);
    part.taps_before = before;
    before += part.taps;
  }
  return parts;
}

// One for each launch, of up to `most` parts.
std::vector<CorrelationAxis> backward_axes(const SpatialAxis& a, int64_t most) {
  const int64_t common = std::gcd(a.stride, a.dilation);
  CorrelationAxis axis;
  axis.in = int(a.out);
  axis.extent = int(a.in);
  axis.out_step = int(a.stride);
  axis.step = int(-a.dilation / common);
  axis.kernel_step = int(a.stride / common);
  axis.residues = int(residues(a));
  const std::vector<AxisPart> parts = backward_parts(a, axis.kernel_step);
  axis.taps = parts.back().taps_before + parts.back().taps;
  std::vector<CorrelationAxis> axes;
  for (int64_t begin = 0; begin < axis.residues; begin += most) {
    axis.parts = int(std::min(most, axis.residues - begin));
    std::copy_n(parts.begin() + begin, axis.parts, axis.part);
    axes.push_back(axis);
  }
  return axes;
}

// What the axes say together.
void finish(Correlation& c, const ConvProblem& p, const Lines& lines) {
  c.lines = lines;
  c.d.line_step = uint32_t(c.d.step) << lines.shift;
  c.h.line_step = uint32_t(c.h.step);
  c.d.pixel_step = uint32_t(c.d.step) * uint32_t(c.h.in) * uint32_t(c.w.in);
  c.h.pixel_step = uint32_t(c.h.step) * uint32_t(c.w.in);
  c.batch = int(p.batch);
  c.groups = int(p.groups);
}

GradientAxis gradient_axis(const SpatialAxis& a) {
  GradientAxis axis{};
  axis.in = int(a.in), axis.out = int(a.out);
  axis.stride = int(a.stride), axis.first = int(-a.pad), axis.step = int(a.dilation);
  axis.taps = int(a.kernel);
  axis.out_divisor = Divisor32(a.out);
  return axis;
}

}   // namespace

bool fits_forward(const ConvProblem& p) {
  const SpatialAxes a = spatial_axes(p);
  return width_of(forward_reach(a.d)) + width_of(forward_reach(a.h)) <= 32;
}

bool fits_backward(const ConvProblem& p) {
  const SpatialAxes a = spatial_axes(p);
  const int64_t most = parts_a_launch(p, a);
  int64_t launches = 1;
  for (const SpatialAxis& axis : {a.d, a.h, a.w}) {
    const int64_t windows = ceil_div(residues(axis), most);
    if (windows > kMostLaunches / launches) return false;
    launches *= windows;
  }
  return width_of(backward_reach(a.d)) + width_of(backward_reach(a.h)) <= 32;
}

std::vector<Correlation> forward_correlation(const ConvProblem& p) {
  const SpatialAxes a = spatial_axes(p);
  Correlation c{};
  c.d = forward_axis(a.d), c.h = forward_axis(a.h), c.w = forward_axis(a.w);
  finish(c, p, lines_of(forward_reach(a.d), forward_reach(a.h)));
  c.channels = int(p.in_channels / p.groups);
  c.out_channels = int(p.out_channels / p.groups);
  return {c};
}

std::vector<Correlation> backward_correlation(const ConvProblem& p) {
  const SpatialAxes a = spatial_axes(p);
  const int64_t most = parts_a_launch(p, a);
  const auto columns = backward_axes(a.w, most), rows = backward_axes(a.h, most);
  std::vector<Correlation> all;
  for (const CorrelationAxis& plane : backward_axes(a.d, most))
    for (const CorrelationAxis& row : rows)
      for (const CorrelationAxis& column : columns) {
        Correlation& c = all.emplace_back();
        c.d = plane, c.h = row, c.w = column;
        finish(c, p, lines_of(backward_reach(a.d), backward_reach(a.h)));
        c.channels = int(p.out_channels / p.groups);
        c.out_channels = int(p.in_channels / p.groups);
      }
  return all;
}

WeightGradient weight_gradient_of(const ConvProblem& p, int depth) {
  const SpatialAxes a = spatial_axes(p);
  WeightGradient g{};
  g.d = gradient_axis(a.d), g.h = gradient_axis(a.h), g.w = gradient_axis(a.w);
  g.advance_line = uint32_t(depth / g.w.out);
  g.advance_column = uint32_t(depth % g.w.out);
  g.taps = g.d.taps * g.h.taps * g.w.taps;
  g.groups = int(p.groups);
  g.channels = int(p.in_channels / p.groups);
  g.out_channels = int(p.out_channels / p.groups);
  g.positions = int(p.batch * a.d.out * a.h.out * a.w.out);
  return g;
}

}   // namespace fastconv::cuda::tiled
