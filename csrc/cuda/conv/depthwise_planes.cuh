// Kernels for groups of few channels in planes (NCHW): neighbouring threads have neighbouring columns.
#pragma once

#include "depthwise.cuh"

namespace fastconv::cuda {

constexpr int kPlaneRun = 4;   // rows of a column that a thread computes: they share columns and weight

struct DepthwisePlanes {
  DepthwiseAxis h, w;   // h: its extent in runs
  int rows, members;    // of the result; channels of the source that a result's group has
  int source_channels;
  Divisor64 channels, group;                          // of the result: all, and those of a group
  int64_t weight_group, weight_lane, weight_member;   // elements from one to the next
  int64_t count;                                      // runs
  Activation activation;
};

// weight: OIHW.
template <class T>
__global__ void __launch_bounds__(kDepthwiseThreads, 4)
    depthwise_planes_kernel(const __grid_constant__ DepthwisePlanes c, const T* source, const T* weight,
                            const T* bias, T* result) {
  using A = Accumulator<T>;
  const int64_t step = int64_t(gridDim.x) * kDepthwiseThreads, width = int64_t(c.w.extent.value);
  for (int64_t i = int64_t(blockIdx.x) * kDepthwiseThreads + threadIdx.x; i < c.count; i += step) {
    int64_t column = i, run = split(column, c.w.extent);
    const int64_t plane = split(run, c.h.extent);
    int64_t channel = plane;
    const int64_t image = split(channel, c.channels);
    int64_t lane = channel;
    const int64_t group = split(lane, c.group);
    const int row = int(run) * kPlaneRun;
    const T* from = source + (image * c.source_channels + group * c.members) * c.h.in * c.w.in;
    const T* filter = weight + group * c.weight_group + lane * c.weight_lane;
    A sum[kPlaneRun];
#pragma unroll
    for (int p = 0; p < kPlaneRun; ++p) sum[p] = bias != nullptr ? A(widen(bias[channel])) : A(0);
    for (int j = 0; j < c.members; ++j, from += int64_t(c.h.in) * c.w.in) {
      const T* by = filter + j * c.weight_member;
      for (int r = 0; r < c.h.taps; ++r) {
        int y[kPlaneRun];
#pragma unroll
        for (int p = 0; p < kPlaneRun; ++p) y[p] = source_of(c.h, row + p, r);
        for (int s = 0; s < c.w.taps; ++s, ++by) {
          const int x = source_of(c.w, int(column), s);
          if (x < 0) continue;
          const A factor = widen(*by);
#pragma unroll
          for (int p = 0; p < kPlaneRun; ++p)
            if (y[p] >= 0) sum[p] += widen(from[y[p] * c.w.in + x]) * factor;
        }
      }
    }
    T* to = result + (plane * c.rows + row) * width + column;
#pragma unroll
    for (int p = 0; p < kPlaneRun; ++p)
      if (row + p < c.rows) to[p * width] = narrow<T>(activate(c.activation, sum[p]));
  }
}

// Grid: x channels times units (a member, nine taps), y chunks of positions, which a block's threads take in
// turn. partial: as of depthwise_gradient_kernel.
template <class T>
__global__ void __launch_bounds__(kDepthwiseThreads, 3)
    depthwise_planes_gradient_kernel(const __grid_constant__ DepthwiseGradient c, int units, const T* grad,
                                     const T* x, Accumulator<T>* partial) {
  using A = Accumulator<T>;
  const int unit = int(blockIdx.x) % units, channel = int(blockIdx.x) / units;
  const int first_tap = unit % c.blocks * kDepthwiseTaps;
  const int member = int(unsigned(channel) / c.group) * c.members + unit / c.blocks;
  const int outputs = int(c.h_out.value) * int(c.w_out.value), inputs = c.h_in * c.w_in;
  A sum[kDepthwiseTaps] = {}, bias = 0;
  const int end = min((int(blockIdx.y) + 1) * c.chunk, c.positions);
  for (int m = int(blockIdx.y) * c.chunk + int(threadIdx.x); m < end; m += kDepthwiseThreads) {
    unsigned w = unsigned(m), h = split(w, c.w_out);
    const int64_t image = split(h, c.h_out);
    const A g = widen(grad[(image * (c.channels - 1) + channel) * outputs + m]);
    const T* plane = x + (image * c.x_channels + member) * inputs;
    const int h0 = int(h) * c.h_stride + c.h_first, w0 = int(w) * c.w_stride + c.w_first;
    bias += g;
    int r = first_tap / c.w_taps, s = first_tap - r * c.w_taps;
#pragma unroll
    for (int t = 0; t < kDepthwiseTaps; ++t) {
      const int u = h0 + r * c.h_step, v = w0 + s * c.w_step;
      if (first_tap + t < c.taps && unsigned(u) < unsigned(c.h_in) && unsigned(v) < unsigned(c.w_in))
        sum[t] += g * widen(plane[u * c.w_in + v]);
      if (++s == c.w_taps) s = 0, ++r;
    }
  }
  auto& group = static_shared<Group<A, kDepthwiseThreads>>();
  A* to = partial + int64_t(blockIdx.y) * (units * kDepthwiseTaps + 1) * c.channels + channel;
#pragma unroll
  for (int t = 0; t < kDepthwiseTaps; ++t) {
    const A total = group.sum(sum[t]);
    if (threadIdx.x == 0) to[int64_t(unit * kDepthwiseTaps + t) * c.channels] = total;
  }
  if (!c.bias || unit != 0) return;
  bias = group.sum(bias);
  if (threadIdx.x == 0) to[int64_t(units * kDepthwiseTaps) * c.channels] = bias;
}

}   // namespace fastconv::cuda
