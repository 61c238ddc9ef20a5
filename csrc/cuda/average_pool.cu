#include <stdexcept>
#include <string>

#include "average_pool.hpp"
#include "dispatch.cuh"
#include "divisor.cuh"
#include "launch.cuh"

namespace fastconv::cuda {

constexpr int kAverageThreads = 256;

// Three dimensions, outermost first; the missing outer ones have extent 1.
struct MeanWindows {
  int64_t input[3], output[3], kernel[3], stride[3], padding[3];
  bool adaptive, count_include_pad;
  double divisor;   // 0: the cells that count
};

// How results lie: one after the other, `cell` of them at each place of a map.
struct MeanResults {
  int64_t count;
  Divisor64 cell, width, height, depth;
};

struct MeanSpan {
  int64_t begin, end;
};

// The cells of window o, and in `counted` how many its divisor counts.
__device__ __forceinline__ MeanSpan cells_of(const MeanWindows& w, int i, int64_t o, int64_t& counted) {
  const int64_t input = w.input[i];
  MeanSpan at;
  if (w.adaptive) {
    at = {o * input / w.output[i], ((o + 1) * input + w.output[i] - 1) / w.output[i]};
  } else {
    at.begin = o * w.stride[i] - w.padding[i];
    at.end = min(at.begin + w.kernel[i], input + w.padding[i]);
  }
  counted = at.end - at.begin;
  at.begin = max(at.begin, int64_t(0));
  at.end = min(at.end, input);
  if (!w.count_include_pad) counted = at.end - at.begin;
  return at;
}

// The windows that hold cell h.
__device__ __forceinline__ MeanSpan windows_of(const MeanWindows& w, int i, int64_t h) {
  if (w.adaptive) return {h * w.output[i] / w.input[i], ((h + 1) * w.output[i] + w.input[i] - 1) / w.input[i]};
  const int64_t reach = h + w.padding[i] - w.kernel[i] + 1;
  return {reach > 0 ? (reach + w.stride[i] - 1) / w.stride[i] : 0,
          min((h + w.padding[i]) / w.stride[i] + 1, w.output[i])};
}

// From the number of a result: its map, its place there, and the channel within the place.
struct MeanPlace {
  int64_t map, at[3], channel;
};
__device__ __forceinline__ MeanPlace place_of(const MeanResults& results, int64_t i) {
  MeanPlace place;
  int64_t rest = split(i, results.cell);
  place.channel = i;
  int64_t row = split(rest, results.width);
  place.at[2] = rest;
  int64_t slice = split(row, results.height);
  place.at[1] = row;
  place.map = split(slice, results.depth);
  place.at[0] = slice;
  return place;
}

template <class T>
__global__ void __launch_bounds__(kAverageThreads, 2)
    average_pool_kernel(MeanWindows w, MeanResults results, const T* x, T* y) {
  using A = Accumulator<T>;
  const int64_t i = int64_t(blockIdx.x) * kAverageThreads + threadIdx.x;
  if (i >= results.count) return;
  const MeanPlace place = place_of(results, i);
  int64_t counted[3];
  const MeanSpan d = cells_of(w, 0, place.at[0], counted[0]), h = cells_of(w, 1, place.at[1], counted[1]),
                 v = cells_of(w, 2, place.at[2], counted[2]);
  A total = 0;
  for (int64_t a = d.begin; a < d.end; ++a)
    for (int64_t b = h.begin; b < h.end; ++b) {
      const int64_t row = ((place.map * w.input[0] + a) * w.input[1] + b) * w.input[2];
      A sum = 0;
      for (int64_t c = v.begin; c < v.end; ++c)
        sum += widen(x[(row + c) * int64_t(results.cell.value) + place.channel]);
      total += sum;
    }
  const A divisor = w.divisor != 0 ? A(w.divisor) : A(counted[0]) * A(counted[1]) * A(counted[2]);
  y[i] = narrow<T>(total / divisor);
}

template <class T>
__global__ void __launch_bounds__(kAverageThreads, 2)
    average_pool_backward_kernel(MeanWindows w, MeanResults results, const T* grad, T* dx) {
  using A = Accumulator<T>;
  const int64_t i = int64_t(blockIdx.x) * kAverageThreads + threadIdx.x;
  if (i >= results.count) return;
  const MeanPlace place = place_of(results, i);
  const MeanSpan d = windows_of(w, 0, place.at[0]), h = windows_of(w, 1, place.at[1]),
                 v = windows_of(w, 2, place.at[2]);
  A total = 0;
  for (int64_t a = d.begin; a < d.end; ++a)
    for (int64_t b = h.begin; b < h.end; ++b) {
      int64_t counted[3];
      cells_of(w, 0, a, counted[0]);
      cells_of(w, 1, b, counted[1]);
      const int64_t row = ((place.map * w.output[0] + a) * w.output[1] + b) * w.output[2];
      for (int64_t c = v.begin; c < v.end; ++c) {
        cells_of(w, 2, c, counted[2]);
        const A divisor = w.divisor != 0 ? A(w.divisor) : A(counted[0]) * A(counted[1]) * A(counted[2]);
        total += widen(grad[(row + c) * int64_t(results.cell.value) + place.channel]) / divisor;
      }
    }
  dx[i] = narrow<T>(total);
}

namespace {

MeanWindows windows_of(const PoolProblem& p, const AverageParameters& parameters) {
  MeanWindows w{};
  w.adaptive = p.adaptive;
  w.count_include_pad = parameters.count_include_pad;
  w.divisor = double(parameters.divisor);
  for (int i = 0; i < 3; ++i) {
    const int from = i - (3 - p.spatial);
    w.input[i] = from < 0 ? 1 : p.input[from];
    w.output[i] = from < 0 ? 1 : p.output[from];
    w.kernel[i] = from < 0 ? 1 : p.kernel[from];
    w.stride[i] = from < 0 ? 1 : p.stride[from];
    w.padding[i] = from < 0 ? 0 : p.padding[from];
  }
  return w;
}

MeanResults results_of(const char* operation, const PoolProblem& p, const View& like,
                       const int64_t (&extents)[3]) {
  MeanResults results;
  results.count = like.elements();
  if (ceil_div(results.count, kAverageThreads) >= int64_t(1) << 31)
    throw std::runtime_error(std::string(operation) + ": a result of " + std::to_string(results.count) +
                             " elements is too large for CUDA arrays (2**39)");
  results.cell = Divisor64(like.format == MemoryFormat::channels_last ? p.channels : 1);
  results.width = Divisor64(extents[2]);
  results.height = Divisor64(extents[1]);
  results.depth = Divisor64(extents[0]);
  return results;
}

constexpr const char *kForward[] = {"avg_pool1d", "avg_pool2d", "avg_pool3d"},
                     *kBackward[] = {"avg_pool1d_backward", "avg_pool2d_backward", "avg_pool3d_backward"};

dim3 grid_of(const MeanResults& results) { return dim3(unsigned(ceil_div(results.count, kAverageThreads))); }

}   // namespace

void average_pool(const PoolProblem& p, const AverageParameters& parameters, const View& x, const View& y) {
  const char* operation = kForward[p.spatial - 1];
  if (y.elements() == 0) return;
  const DeviceGuard guard(x.device, operation);
  const MeanWindows w = windows_of(p, parameters);
  const MeanResults results = results_of(operation, p, y, w.output);
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(operation, average_pool_kernel<T>, grid_of(results), kAverageThreads, 0, x.device.stream, w, results,
           x.as<const T>(), y.as<T>());
  });
}

void average_pool_backward(const PoolProblem& p, const AverageParameters& parameters, const View& grad,
                           const View& dx) {
  const char* operation = kBackward[p.spatial - 1];
  if (dx.elements() == 0) return;
  const DeviceGuard guard(grad.device, operation);
  const MeanWindows w = windows_of(p, parameters);
  const MeanResults results = results_of(operation, p, dx, w.input);
  with_float_type(grad.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(operation, average_pool_backward_kernel<T>, grid_of(results), kAverageThreads, 0, grad.device.stream,
           w, results, grad.as<const T>(), dx.as<T>());
  });
}

}   // namespace fastconv::cuda
