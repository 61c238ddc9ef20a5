// Kernels for groups of few channels, channels last: neighbouring channels fill vectors of 16 bytes whatever
// their groups. `each`: groups of one channel on both sides, so that source and result share a vector's
// channels; otherwise each lane reads its own group's.
#pragma once

#include <climits>

#include "../activation.cuh"
#include "../divisor.cuh"
#include "../reduce.cuh"

namespace fastconv::cuda {

constexpr int kDepthwiseThreads = 256;
constexpr int kDepthwiseRun =
    4;   // neighbouring results of a row that a thread computes: they share the weight
constexpr int kDepthwiseTaps = 9;   // of the weight's gradient, that a thread adds up

// Position o, tap t reads (o * stride + first + t * step) / every, nothing where there is a rest.
struct DepthwiseAxis {
  int in, stride, first, step, taps;
  Divisor32 every;
  Divisor64 extent;   // of the result; along a row, in runs
};

struct DepthwiseCorrelation {
  DepthwiseAxis h, w;
  int row, channels, source_channels;   // results of a row; channels of all groups
  int members;                          // channels of the source that a result's group has
  Divisor32 group;                      // channels of the result of a group
  Divisor64 vectors;                    // of the result's channels
  int64_t count;                        // runs times vectors
  Activation activation;
};

__device__ __forceinline__ int source_of(const DepthwiseAxis& a, int position, int tap) {
  const int distance = position * a.stride + a.first + tap * a.step;
  if (distance < 0) return -1;
  unsigned rest = unsigned(distance);
  const int at = int(split(rest, a.every));
  return rest == 0 && at < a.in ? at : -1;
}

// Channels of the source, of the first member of each lane's group.
template <int N>
__device__ __forceinline__ void first_members(int channel, const Divisor32& group, int members, int (&to)[N]) {
#pragma unroll
  for (int k = 0; k < N; ++k) to[k] = int(unsigned(channel + k) / group) * members;
}

// N channels of a position: those of the vector, or member j of each lane's group.
template <bool each, int N, class T>
__device__ __forceinline__ Vector<T, N> read_members(const T* position, int channel, const int (&first)[N],
                                                     int j) {
  if constexpr (each) {
    return load_vector<N>(position + channel);
  } else {
    Vector<T, N> values;
#pragma unroll
    for (int k = 0; k < N; ++k) values[k] = position[first[k] + j];
    return values;
  }
}

// weight: [tap][member][channel of the result]. A thread a run of a row and a vector of channels.
template <class T, bool each, int N>
__global__ void __launch_bounds__(kDepthwiseThreads, 2)
    depthwise_kernel(const __grid_constant__ DepthwiseCorrelation c, const T* source, const T* weight,
                     const T* bias, T* result) {
  using A = Accumulator<T>;
  const int64_t step = int64_t(gridDim.x) * kDepthwiseThreads;
  for (int64_t i = int64_t(blockIdx.x) * kDepthwiseThreads + threadIdx.x; i < c.count; i += step) {
    int64_t vector = i, run = split(vector, c.vectors);
    const int64_t rows = split(run, c.w.extent);
    int64_t row = rows;
    const int64_t image = split(row, c.h.extent);
    const int channel = int(vector) * N, column = int(run) * kDepthwiseRun;
    int first[N];
    first_members(channel, c.group, c.members, first);
    A sum[kDepthwiseRun][N];
#pragma unroll
    for (int q = 0; q < kDepthwiseRun; ++q)
#pragma unroll
      for (int k = 0; k < N; ++k) sum[q][k] = bias != nullptr ? A(widen(bias[channel + k])) : A(0);
    const T* by = weight + channel;
    for (int r = 0; r < c.h.taps; ++r) {
      const int y = source_of(c.h, int(row), r);
      const T* line = source + (image * c.h.in + y) * c.w.in * c.source_channels;
      for (int s = 0; s < c.w.taps; ++s) {
        int from[kDepthwiseRun];
#pragma unroll
        for (int q = 0; q < kDepthwiseRun; ++q) from[q] = y < 0 ? -1 : source_of(c.w, column + q, s);
        for (int j = 0; j < c.members; ++j, by += c.channels) {
          if (y < 0) continue;
          const Vector<T, N> factor = load_vector<N>(by);
#pragma unroll
          for (int q = 0; q < kDepthwiseRun; ++q) {
            if (from[q] < 0) continue;
            const T* position = line + int64_t(from[q]) * c.source_channels;
            const Vector<T, N> x = read_members<each>(position, channel, first, j);
#pragma unroll
            for (int k = 0; k < N; ++k) sum[q][k] += widen(x[k]) * widen(factor[k]);
          }
        }
      }
    }
    T* to = result + (rows * c.row + column) * c.channels + channel;
#pragma unroll
    for (int q = 0; q < kDepthwiseRun; ++q) {
      if (column + q >= c.row) continue;
      Vector<T, N> values;
#pragma unroll
      for (int k = 0; k < N; ++k) values[k] = narrow<T>(activate(c.activation, sum[q][k]));
      store_vector<N>(to + int64_t(q) * c.channels, values);
    }
  }
}

// OIHW to [tap][member][channel of the result]; members of the other side for backward-input.
struct DepthwiseWeight {
  int channels, members, taps;
  Divisor32 group, by_channels, by_members;
  bool forward;
};
template <class T>
__global__ void __launch_bounds__(kDepthwiseThreads)
    depthwise_weight_kernel(const __grid_constant__ DepthwiseWeight c, const T* weight, T* to, int count) {
  const int i = int(blockIdx.x) * kDepthwiseThreads + int(threadIdx.x);
  if (i >= count) return;
  unsigned channel = unsigned(i), member = split(channel, c.by_channels);
  const unsigned tap = split(member, c.by_members);
  unsigned lane = channel;
  const unsigned group = split(lane, c.group);
  const int64_t row = c.forward ? int64_t(channel) * c.members + member
                                : (int64_t(group) * c.members + member) * int64_t(c.group.value) + lane;
  to[i] = weight[row * c.taps + tap];
}

struct DepthwiseGradient {
  int h_in, w_in, h_stride, w_stride, h_first, w_first, h_step, w_step, w_taps, taps;
  Divisor32 h_out, w_out;
  int channels, x_channels, members;   // of grad and x; channels of x that a group has
  Divisor32 group;                     // channels of grad of a group
  int column_bits;                     // of a block's vectors of channels; its other threads are rows
  int blocks;                          // of taps
  int positions, chunk, chunks;
  bool bias;
  int units() const { return members * blocks; }
};

template <class A, int N>
struct DepthwiseSums {
  A values[N][kDepthwiseThreads];
};

// The sum over a block's rows of each column's values, in one order; the first row writes it.
template <class A, int N>
__device__ __forceinline__ void write_sum(DepthwiseSums<A, N>& shared, const A (&values)[N], int columns,
                                          A* to) {
  const int thread = int(threadIdx.x);
  __syncthreads();
#pragma unroll
  for (int k = 0; k < N; ++k) shared.values[k][thread] = values[k];
  __syncthreads();
  for (int half = kDepthwiseThreads / 2; half >= columns; half /= 2) {
    if (thread < half)
#pragma unroll
      for (int k = 0; k < N; ++k) shared.values[k][thread] += shared.values[k][thread + half];
    __syncthreads();
  }
  if (thread < columns && to != nullptr)
#pragma unroll
    for (int k = 0; k < N; ++k) to[k] = shared.values[k][thread];
}

// Grid: x vectors of channels times units (a member, nine taps), y chunks of positions. partial: [chunk][unit]
// [tap][channel], behind the units of a chunk the bias.
template <class T, bool each, int N>
__global__ void __launch_bounds__(kDepthwiseThreads, each&& N < 8 ? 2 : 1)
    depthwise_gradient_kernel(const __grid_constant__ DepthwiseGradient c, int units, const T* grad, const T* x,
                              Accumulator<T>* partial) {
  using A = Accumulator<T>;
  const int columns = 1 << c.column_bits, rows = kDepthwiseThreads >> c.column_bits;
  const int unit = int(blockIdx.x) % units, member = unit / c.blocks;
  const int channel = (int(blockIdx.x) / units * columns + (int(threadIdx.x) & (columns - 1))) * N;
  const int first_tap = unit % c.blocks * kDepthwiseTaps;
  const bool active = channel < c.channels;
  int first[N], h_off[kDepthwiseTaps], w_off[kDepthwiseTaps];
  first_members(active ? channel : 0, c.group, c.members, first);
#pragma unroll
  for (int t = 0; t < kDepthwiseTaps; ++t) {
    const int tap = first_tap + t, r = tap / c.w_taps;
    h_off[t] = tap < c.taps ? c.h_first + r * c.h_step : INT_MIN;   // outside of every array
    w_off[t] = c.w_first + (tap - r * c.w_taps) * c.w_step;
  }
  A sum[kDepthwiseTaps][N] = {}, bias[N] = {};
  const int end = active ? min((int(blockIdx.y) + 1) * c.chunk, c.positions) : 0;
  for (int m = int(blockIdx.y) * c.chunk + (int(threadIdx.x) >> c.column_bits); m < end; m += rows) {
    unsigned w = unsigned(m), h = split(w, c.w_out);
    const unsigned image = split(h, c.h_out);
    const Vector<T, N> g = load_vector<N>(grad + int64_t(m) * c.channels + channel);
    const int h0 = int(h) * c.h_stride, w0 = int(w) * c.w_stride;
#pragma unroll
    for (int k = 0; k < N; ++k) bias[k] += widen(g[k]);
#pragma unroll
    for (int t = 0; t < kDepthwiseTaps; ++t) {
      const int u = h0 + h_off[t], v = w0 + w_off[t];
      if (unsigned(u) >= unsigned(c.h_in) || unsigned(v) >= unsigned(c.w_in)) continue;
      const T* position = x + ((int64_t(image) * c.h_in + u) * c.w_in + v) * c.x_channels;
      const Vector<T, N> values = read_members<each>(position, channel, first, member);
#pragma unroll
      for (int k = 0; k < N; ++k) sum[t][k] += widen(g[k]) * widen(values[k]);
    }
  }
  auto& shared = static_shared<DepthwiseSums<A, N>>();
  const int64_t row = int64_t(blockIdx.y) * (units * kDepthwiseTaps + 1);
  A* to = partial + row * c.channels + channel;
#pragma unroll
  for (int t = 0; t < kDepthwiseTaps; ++t)
    write_sum(shared, sum[t], columns, active ? to + int64_t(unit * kDepthwiseTaps + t) * c.channels : nullptr);
  if (c.bias && unit == 0)
    write_sum(shared, bias, columns, active ? to + int64_t(units * kDepthwiseTaps) * c.channels : nullptr);
}

// Adds the chunks up in order, a thread an element; dw is OIHW.
template <class T>
__global__ void __launch_bounds__(kDepthwiseThreads)
    depthwise_finish_kernel(const __grid_constant__ DepthwiseGradient c, int units,
                            const Accumulator<T>* partial, T* dw, T* db) {
  const int64_t i = int64_t(blockIdx.x) * kDepthwiseThreads + threadIdx.x;
  const int weights = c.members * c.taps, row = int(i / c.channels);
  const int64_t channel = i % c.channels;
  if (row >= weights + int(c.bias)) return;
  const int member = row / c.taps, tap = row % c.taps;
  const int unit_row = (member * c.blocks + tap / kDepthwiseTaps) * kDepthwiseTaps + tap % kDepthwiseTaps;
  const int rows = units * kDepthwiseTaps + 1;
  const Accumulator<T>* from = partial + (row == weights ? rows - 1 : unit_row) * int64_t(c.channels) + channel;
  Accumulator<T> sum = 0;
  for (int chunk = 0; chunk < c.chunks; ++chunk) sum += from[int64_t(chunk) * rows * c.channels];
  (row == weights ? db[channel] : dw[(channel * c.members + member) * c.taps + tap]) = narrow<T>(sum);
}

}   // namespace fastconv::cuda
