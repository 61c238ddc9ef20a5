#include "correlation.hpp"

#include <cstring>

#include "../isa.hpp"
#include "../parallel.hpp"
#include "../tiling.hpp"

namespace fastconv::cpu {
namespace {

struct PlanarAxis {
  int64_t in, kernel, out, stride, dilation, pad;
};

// Axis 0 is the height, 1 the width.
PlanarAxis planar_axis(const ConvProblem& p, int axis) {
  const int d = axis - (2 - p.spatial);
  if (d < 0) return {1, 1, 1, 1, 1, 0};
  return {p.input[d], p.kernel[d], p.output[d], p.stride[d], p.dilation[d], p.pad_before[d]};
}

struct Phase {
  Axis axis;
  int64_t tap_first, tap_step;   // tap t of the axis is tap_first + t * tap_step of the kernel
};

// The input positions congruent to `residue` modulo the stride, as outputs of a correlation over the gradient:
// position i gets gradient o through tap k where o * stride = i + pad - k * dilation.
Phase backward_phase(const PlanarAxis& a, int64_t residue) {
  Phase phase{};
  Axis& axis = phase.axis;
  axis.in = a.out;
  axis.extent = a.in;
  axis.out_first = residue;
  axis.out_step = a.stride;
  axis.out = a.in > residue ? div_up(a.in - residue, a.stride) : 0;
  axis.stride = 1;
  int64_t last = -1, spacing = 0;
  for (int64_t k = 0; k < a.kernel; ++k) {
    if ((residue + a.pad - k * a.dilation) % a.stride != 0) continue;
    if (axis.taps == 1) spacing = k - last;
    last = k;
    ++axis.taps;
  }
  if (axis.taps == 0) return phase;
  axis.first =
      (residue + a.pad - last * a.dilation) / a.stride;   // taps in falling order read rising positions
  axis.step = spacing * a.dilation / a.stride;
  phase.tap_first = last;
  phase.tap_step = -spacing;
  return phase;
}

}   // namespace

bool few_channels_a_group(const Correlation& c) {
  constexpr int64_t kFew = 8;
  return c.groups > 1 && std::max(c.in_channels, c.out_channels) <= kFew;
}

bool few_outputs(const Correlation& c) {
  constexpr int64_t kHalfVector = 8;
  return c.out_channels <= kHalfVector && !few_channels_a_group(c);
}

Correlation forward_correlation(const ConvProblem& p) {
  const PlanarAxis h = planar_axis(p, 0), w = planar_axis(p, 1);
  const auto axis = [](const PlanarAxis& a) {
    return Axis{a.in, a.out, a.kernel, a.stride, -a.pad, a.dilation, a.out, 0, 1};
  };
  Correlation c{};
  c.batch = p.batch;
  c.groups = p.groups;
  c.in_channels = p.in_channels / p.groups;
  c.out_channels = p.out_channels / p.groups;
  c.h = axis(h);
  c.w = axis(w);
  c.weight_w = 1;
  c.weight_h = w.kernel;
  c.weight_in = h.kernel * w.kernel;
  c.weight_out = c.in_channels * c.weight_in;
  c.weight_group = c.out_channels * c.weight_out;
  return c;
}

BackwardParts backward_correlations(const ConvProblem& p) {
  const Correlation forward = forward_correlation(p);
  bool complete = true;
  const auto reached = [&](const PlanarAxis& axis) {
    std::vector<Phase> phases;
    for (int64_t i = 0; i < std::min(axis.stride, axis.in); ++i) {
      const Phase phase = backward_phase(axis, i);
      if (phase.axis.taps > 0)
        phases.push_back(phase);
      else
        complete = false;
    }
    return phases;
  };
  const std::vector<Phase> rows = reached(planar_axis(p, 0)), columns = reached(planar_axis(p, 1));
  BackwardParts result{{}, complete};
  for (const Phase& row : rows)
    for (const Phase& column : columns) {
      Correlation c = forward;
      std::swap(c.in_channels, c.out_channels);
      std::swap(c.weight_in, c.weight_out);
      c.h = row.axis;
      c.w = column.axis;
      c.weight_base = row.tap_first * forward.weight_h + column.tap_first * forward.weight_w;
      c.weight_h = row.tap_step * forward.weight_h;
      c.weight_w = column.tap_step * forward.weight_w;
      result.parts.push_back(c);
    }
  return result;
}

bool skips_pixels(const Correlation& c) {
  const auto inside = [](const Axis& a) { return a.first >= 0 && a.first + (a.out - 1) * a.stride < a.in; };
  return c.taps() == 1 && (c.h.stride > 1 || c.w.stride > 1) && inside(c.h) && inside(c.w);
}

template <class T>
Correlation without_skips(const Correlation& c, const T* in, T* to) {
  const Segment line = {0, c.w.first, c.w.out};
  parallel_items(c.batch * c.groups * c.in_channels, kMoveFlops * double(c.pixels()), [&](int64_t plane) {
    kernels<T>().pack.gather(in + (plane * c.h.in + c.h.first) * c.w.in, c.h.stride * c.w.in,
                             to + plane * c.pixels(), c.w.out, c.h.out, &line, 1, c.w.stride);
  });
  Correlation dense = c;
  for (Axis* axis : {&dense.h, &dense.w}) {
    axis->in = axis->out;
    axis->first = 0;
    axis->stride = 1;
  }
  return dense;
}
template Correlation without_skips(const Correlation&, const float*, float*);
template Correlation without_skips(const Correlation&, const double*, double*);

template <class T>
void weight_rows_of(const Correlation& c, const T* weight, T* to) {
  for (int64_t k = 0; k < c.out_channels; ++k)
    for (int64_t r = 0; r < c.h.taps; ++r)
      for (int64_t s = 0; s < c.w.taps; ++s)
        for (int64_t i = 0; i < c.in_channels; ++i)
          *to++ = weight[c.weight_base + k * c.weight_out + i * c.weight_in + r * c.weight_h + s * c.weight_w];
}
template void weight_rows_of(const Correlation&, const float*, float*);
template void weight_rows_of(const Correlation&, const double*, double*);

template <class T>
void turn_kernels(std::vector<Correlation>& parts, const T* weight, T* turned) {
  const int64_t channels = parts.front().out_channels, kernel = parts.front().weight_out;
  const int64_t size = channels * kernel;
  parallel_items(parts.front().groups * parts.front().in_channels, kMoveFlops * double(size), [&](int64_t i) {
    kernels<T>().pack.transpose(weight + i * size, kernel, turned + i * size, channels, channels, kernel);
  });
  for (Correlation& c : parts) {
    c.weight_out = 1;
    for (ptrdiff_t* offset : {&c.weight_base, &c.weight_h, &c.weight_w}) *offset *= channels;
  }
}
template void turn_kernels(std::vector<Correlation>&, const float*, float*);
template void turn_kernels(std::vector<Correlation>&, const double*, double*);

}   // namespace fastconv::cpu
