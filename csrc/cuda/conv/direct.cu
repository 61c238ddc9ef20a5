// The definition of convolution, one thread a result: for every problem, type and memory format. Large ones
// have faster ways.
#include "../activation.cuh"
#include "../dispatch.cuh"
#include "../divisor.cuh"
#include "../launch.cuh"
#include "../reduce.cuh"
#include "algorithm.hpp"

namespace fastconv::cuda {

struct DirectAxis {
  int64_t pad, dilation;
  Divisor64 in, kernel, out, stride;
};

// Channels are a group's. Elements from one image, channel or position to the next.
struct DirectArray {
  Divisor64 channels;
  int64_t image, channel, position;
  bool channels_last;
};

struct DirectConv {
  int64_t batch;
  Divisor64 groups;
  DirectAxis axis[kMaxSpatial];
  DirectArray x, y;
  int64_t taps;
};

constexpr int kDirectThreads = 128;

__device__ __forceinline__ int64_t extent(const Divisor64& d) { return int64_t(d.value); }

// The remainder of i, which becomes the quotient.
__device__ __forceinline__ int64_t take(int64_t& i, const Divisor64& d) {
  int64_t rest = i;
  i = split(rest, d);
  return rest;
}

struct Point {
  int64_t image, group, channel, at[kMaxSpatial];
};

// Element i of an array, counted in the order of its memory.
__device__ __forceinline__ Point locate(int64_t i, const DirectConv& c, const DirectArray& array,
                                        const Divisor64 DirectAxis::* length) {
  Point p;
  if (array.channels_last) {
    p.channel = take(i, array.channels);
    p.group = take(i, c.groups);
  }
#pragma unroll
  for (int d = kMaxSpatial - 1; d >= 0; --d) p.at[d] = take(i, c.axis[d].*length);
  if (!array.channels_last) {
    p.channel = take(i, array.channels);
    p.group = take(i, c.groups);
  }
  p.image = i;
  return p;
}

// Where tap `tap` of output `at` reads, or -1.
__device__ __forceinline__ int64_t source_of(const DirectAxis& a, int64_t at, int64_t tap) {
  const int64_t i = at * extent(a.stride) - a.pad + tap * a.dilation;
  return i < extent(a.in) ? i : -1;
}

// The output whose tap `tap` reads `at`, or -1.
__device__ __forceinline__ int64_t reader_of(const DirectAxis& a, int64_t at, int64_t tap) {
  int64_t distance = at + a.pad - tap * a.dilation;
  if (distance < 0) return -1;
  const int64_t o = split(distance, a.stride);
  return distance == 0 && o < extent(a.out) ? o : -1;
}

// Sum over taps, and over the channels of the group, of `source` where the tap finds it times the weight.
// next_channel: elements of the weight.
template <class T, class Find>
__device__ __forceinline__ Accumulator<T> sum_taps(const DirectConv& c, const DirectArray& array,
                                                   const Divisor64 DirectAxis::* length, const T* source,
                                                   const T* weight, int64_t next_channel, const Find& find) {
  Accumulator<T> sum = 0;
  const DirectAxis &a0 = c.axis[0], &a1 = c.axis[1], &a2 = c.axis[2];
  for (int64_t r = 0; r < extent(a0.kernel); ++r) {
    const int64_t z = find(0, r);
    for (int64_t s = 0; s < extent(a1.kernel); ++s) {
      const int64_t v = find(1, s);
      for (int64_t t = 0; t < extent(a2.kernel); ++t, ++weight) {
        const int64_t u = find(2, t);
        if (z < 0 || v < 0 || u < 0) continue;
        const T* from = source + ((z * extent(a1.*length) + v) * extent(a2.*length) + u) * array.position;
        const T* by = weight;
        for (int64_t k = extent(array.channels); k > 0; --k, from += array.channel, by += next_channel)
          sum += widen(*from) * widen(*by);
      }
    }
  }
  return sum;
}

template <class T>
__global__ void __launch_bounds__(kDirectThreads, 4)
    direct_forward_kernel(const __grid_constant__ DirectConv c, const T* x, const T* weight, const T* bias,
                          Activation activation, T* y, int64_t count) {
  const int64_t step = int64_t(gridDim.x) * kDirectThreads;
  for (int64_t i = int64_t(blockIdx.x) * kDirectThreads + threadIdx.x; i < count; i += step) {
    const Point p = locate(i, c, c.y, &DirectAxis::out);
    const int64_t channel = p.group * extent(c.y.channels) + p.channel;
    Accumulator<T> sum = sum_taps(c, c.x, &DirectAxis::in,
                                  x + p.image * c.x.image + p.group * extent(c.x.channels) * c.x.channel,
                                  weight + channel * extent(c.x.channels) * c.taps, c.taps,
                                  [&](int d, int64_t tap) { return source_of(c.axis[d], p.at[d], tap); });
    if (bias != nullptr) sum += widen(bias[channel]);
    y[i] = narrow<T>(activate(activation, sum));
  }
}

template <class T>
__global__ void __launch_bounds__(kDirectThreads, 4)
    direct_backward_input_kernel(const __grid_constant__ DirectConv c, const T* grad, const T* weight,
                                 const T* bias, Activation activation, T* dx, int64_t count) {
  const int64_t step = int64_t(gridDim.x) * kDirectThreads;
  for (int64_t i = int64_t(blockIdx.x) * kDirectThreads + threadIdx.x; i < count; i += step) {
    const Point p = locate(i, c, c.x, &DirectAxis::in);
    const int64_t outputs = p.group * extent(c.y.channels), next = extent(c.x.channels) * c.taps;
    Accumulator<T> sum = sum_taps(c, c.y, &DirectAxis::out, grad + p.image * c.y.image + outputs * c.y.channel,
                                  weight + outputs * next + p.channel * c.taps, next,
                                  [&](int d, int64_t tap) { return reader_of(c.axis[d], p.at[d], tap); });
    if (bias != nullptr) sum += widen(bias[p.group * extent(c.x.channels) + p.channel]);
    dx[i] = narrow<T>(activate(activation, sum));
  }
}

// `each` threads, one or a block, an element of dw, then of db where it is wanted.
template <class T, int each>
__global__ void __launch_bounds__(kDirectThreads, 4)
    direct_backward_weight_kernel(const __grid_constant__ DirectConv c, const T* grad, const T* x, T* dw,
                                  T* db) {
  using A = Accumulator<T>;
  const DirectAxis &a0 = c.axis[0], &a1 = c.axis[1], &a2 = c.axis[2];
  const int64_t outputs = extent(c.groups) * extent(c.y.channels);
  const int64_t weights = outputs * extent(c.x.channels) * c.taps;
  const int64_t count = c.batch * extent(a0.out) * extent(a1.out) * extent(a2.out);
  constexpr int together = kDirectThreads / each;
  const int64_t first = int64_t(blockIdx.x) * together + int(threadIdx.x) / each;
  const int64_t step = int64_t(gridDim.x) * together;
  for (int64_t i = first; i < weights + (db != nullptr ? outputs : 0); i += step) {
    const bool bias = i >= weights;
    int64_t rest = bias ? 0 : i;
    const int64_t t = take(rest, a2.kernel), s = take(rest, a1.kernel), r = take(rest, a0.kernel);
    const int64_t in = take(rest, c.x.channels), out = bias ? i - weights : rest;
    const T* from = x + (out / c.y.channels * extent(c.x.channels) + in) * c.x.channel;
    A sum = 0;
    for (int64_t m = int(threadIdx.x) % each; m < count; m += each) {
      int64_t image = m;
      const int64_t w = take(image, a2.out), h = take(image, a1.out), d = take(image, a0.out);
      const A g = widen(grad[image * c.y.image + out * c.y.channel +
                             ((d * extent(a1.out) + h) * extent(a2.out) + w) * c.y.position]);
      const int64_t z = source_of(a0, d, r), v = source_of(a1, h, s), u = source_of(a2, w, t);
      if (bias)
        sum += g;
      else if (z >= 0 && v >= 0 && u >= 0)
        sum +=
            g * widen(from[image * c.x.image + ((z * extent(a1.in) + v) * extent(a2.in) + u) * c.x.position]);
    }
    if constexpr (each > 1) sum = block_sum(static_shared<BlockSum<A, each>>(), sum);
    if (int(threadIdx.x) % each == 0) (bias ? db[out] : dw[i]) = narrow<T>(sum);
  }
}

namespace {

DirectArray direct_array(MemoryFormat format, int64_t channels, int64_t groups, int64_t positions) {
  DirectArray array{Divisor64(channels / groups), channels * positions, positions, 1, false};
  if (format == MemoryFormat::channels_last) {
    array.channel = 1;
    array.position = channels;
    array.channels_last = true;
  }
  return array;
}

DirectConv direct_conv_of(const ConvProblem& p, MemoryFormat x, MemoryFormat y) {
  DirectConv c{};
  c.batch = p.batch;
  c.groups = Divisor64(p.groups);
  c.taps = 1;
  int64_t in = 1, out = 1;
  for (int d = 0; d < p.spatial; ++d) {
    c.axis[kMaxSpatial - p.spatial + d] = {p.pad_before[d],        p.dilation[d],
                                           Divisor64(p.input[d]),  Divisor64(p.kernel[d]),
                                           Divisor64(p.output[d]), Divisor64(p.stride[d])};
    in *= p.input[d];
    out *= p.output[d];
    c.taps *= p.kernel[d];
  }
  c.x = direct_array(x, p.in_channels, p.groups, in);
  c.y = direct_array(y, p.out_channels, p.groups, out);
  return c;
}

bool accepts(const ConvCall&) { return true; }

void forward(const char* operation, const ConvProblem& problem, const View& x, const View& weight,
             const View* bias, Activation activation, const View& y) {
  with_float_type(y.dtype, [&](auto type) {
    using T = decltype(type);
    launch(operation, direct_forward_kernel<T>, loop_grid(y.device, y.elements(), kDirectThreads, 16),
           kDirectThreads, 0, y.device.stream, direct_conv_of(problem, x.format, y.format), x.as<const T>(),
           weight.as<const T>(), bias != nullptr ? bias->as<const T>() : nullptr, activation, y.as<T>(),
           y.elements());
  });
}

void backward_input(const char* operation, const ConvProblem& problem, const View& grad, const View& weight,
                    const View* bias, Activation activation, const View& dx) {
  with_float_type(dx.dtype, [&](auto type) {
    using T = decltype(type);
    launch(operation, direct_backward_input_kernel<T>, loop_grid(dx.device, dx.elements(), kDirectThreads, 16),
           kDirectThreads, 0, dx.device.stream, direct_conv_of(problem, dx.format, grad.format),
           grad.as<const T>(), weight.as<const T>(), bias != nullptr ? bias->as<const T>() : nullptr,
           activation, dx.as<T>(), dx.elements());
  });
}

template <class T, int each>
void launch_backward_weight(const char* operation, const ConvProblem& problem, const View& grad, const View& x,
                            const View& dw, const View* db) {
  const int64_t count = dw.elements() + (db != nullptr ? problem.out_channels : 0);
  launch(operation, direct_backward_weight_kernel<T, each>,
         loop_grid(dw.device, count, kDirectThreads / each, 16), kDirectThreads, 0, dw.device.stream,
         direct_conv_of(problem, x.format, grad.format), grad.as<const T>(), x.as<const T>(), dw.as<T>(),
         db != nullptr ? db->as<T>() : nullptr);
}

constexpr int64_t kFewPositions = 64;   // that one thread sums

void backward_weight(const char* operation, const ConvProblem& problem, const View& grad, const View& x,
                     const View& dw, const View* db) {
  with_float_type(dw.dtype, [&](auto type) {
    using T = decltype(type);
    const bool few = grad.elements() <= kFewPositions * problem.out_channels;
    const auto run = few ? launch_backward_weight<T, 1> : launch_backward_weight<T, kDirectThreads>;
    run(operation, problem, grad, x, dw, db);
  });
}

}   // namespace

const ConvAlgorithm direct_conv = {"direct", accepts, forward, backward_input, backward_weight};

}   // namespace fastconv::cuda
