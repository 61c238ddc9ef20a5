// Local response normalisation, a thread an element: the windows of neighbouring threads overlap in the caches.
#include "dispatch.cuh"
#include "divisor.cuh"
#include "launch.cuh"
#include "local_response_norm.hpp"
#include "math.cuh"

namespace fastconv::cuda {

constexpr int kResponseThreads = 256;

// Channel c's response is measured over [c - before, c + after].
template <class T>
struct Responses {
  const T *x, *grad;          // grad: null in the forward pass
  Divisor64 step, channels;   // step: elements from one channel to the next
  int64_t count, before, after;
  Accumulator<T> k, alpha, beta;   // alpha: of a sum of squares
};

// The sum of value(element) over the channels around an element, in their order.
template <class T, class Value>
__device__ __forceinline__ Accumulator<T> window_sum(const Responses<T>& r, int64_t at, int64_t before,
                                                     int64_t after, const Value& value) {
  const int64_t step = int64_t(r.step.value), last = int64_t(r.channels.value) - 1;
  int64_t channel = at / r.step;
  split(channel, r.channels);
  Accumulator<T> sum = 0;
  for (int64_t i = -min(before, channel); i <= min(after, last - channel); ++i) sum += value(at + i * step);
  return sum;
}

template <class T>
__device__ __forceinline__ Accumulator<T> scale_of(const Responses<T>& r, int64_t at) {
  using A = Accumulator<T>;
  const A squares = window_sum(r, at, r.before, r.after, [&](int64_t i) {
    const A x = widen(r.x[i]);
    return x * x;
  });
  return r.k + r.alpha * squares;
}

// s^-beta; the paper's exponent from two roots.
template <class A>
__device__ __forceinline__ A lowered(A s, A beta) {
  if (beta != A(0.75)) return power(s, -beta);
  const A inverse = 1 / root(s);
  return inverse * root(inverse);
}

template <class T>
__global__ void __launch_bounds__(kResponseThreads, 4)
    response_norm_kernel(const __grid_constant__ Responses<T> r, T* y) {
  const int64_t step = int64_t(gridDim.x) * kResponseThreads;
  for (int64_t i = int64_t(blockIdx.x) * kResponseThreads + threadIdx.x; i < r.count; i += step)
    y[i] = narrow<T>(widen(r.x[i]) * lowered(scale_of(r, i), r.beta));
}

// grad * x * s^(-beta - 1), of which the gradient takes sums.
template <class T>
__global__ void __launch_bounds__(kResponseThreads, 4)
    response_slopes_kernel(const __grid_constant__ Responses<T> r, Accumulator<T>* slopes) {
  const int64_t step = int64_t(gridDim.x) * kResponseThreads;
  for (int64_t i = int64_t(blockIdx.x) * kResponseThreads + threadIdx.x; i < r.count; i += step) {
    const Accumulator<T> s = scale_of(r, i);
    slopes[i] = widen(r.grad[i]) * widen(r.x[i]) * (lowered(s, r.beta) / s);
  }
}

template <class T>
__global__ void __launch_bounds__(kResponseThreads, 4)
    response_backward_kernel(const __grid_constant__ Responses<T> r, const Accumulator<T>* slopes, T* dx) {
  using A = Accumulator<T>;
  const int64_t step = int64_t(gridDim.x) * kResponseThreads;
  for (int64_t i = int64_t(blockIdx.x) * kResponseThreads + threadIdx.x; i < r.count; i += step) {
    const A through = widen(r.grad[i]) * lowered(scale_of(r, i), r.beta);
    // The windows that hold this channel are those of channels mirrored around it.
    const A sum = window_sum(r, i, r.after, r.before, [&](int64_t at) { return slopes[at]; });
    dx[i] = narrow<T>(through - widen(r.x[i]) * (sum * (2 * r.alpha * r.beta)));
  }
}

namespace {

template <class T>
Responses<T> responses_of(const NormProblem& problem, const ResponseNormParameters& p, const View& x,
                          const T* grad) {
  using A = Accumulator<T>;
  Responses<T> r{};
  r.x = x.as<const T>();
  r.grad = grad;
  r.step = Divisor64(x.format == MemoryFormat::channels_last ? 1 : problem.plane());
  r.channels = Divisor64(problem.channels);
  r.count = x.elements();
  r.before = std::min(p.size / 2, problem.channels - 1);
  r.after = std::min((p.size - 1) / 2, problem.channels - 1);
  r.k = A(p.k);
  r.alpha = A(p.alpha / double(p.size));
  r.beta = A(p.beta);
  return r;
}

}   // namespace

void local_response_norm(const NormProblem& problem, const ResponseNormParameters& p, const View& x,
                         const View& y) {
  const char* operation = "local_response_norm";
  if (x.elements() == 0) return;
  const DeviceGuard guard(x.device, operation);
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(operation, response_norm_kernel<T>, loop_grid(x.device, x.elements(), kResponseThreads, 16),
           kResponseThreads, 0, x.device.stream, responses_of<T>(problem, p, x, nullptr), y.as<T>());
  });
}

void local_response_norm_backward(const NormProblem& problem, const ResponseNormParameters& p, const View& grad,
                                  const View& x, const View& dx) {
  const char* operation = "local_response_norm_backward";
  if (x.elements() == 0) return;
  const DeviceGuard guard(x.device, operation);
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    using A = Accumulator<T>;
    const Responses<T> r = responses_of(problem, p, x, grad.as<const T>());
    const dim3 grid = loop_grid(x.device, r.count, kResponseThreads, 16);
    const Workspace slopes(x.device, r.count * int64_t(sizeof(A)), operation);
    launch(operation, response_slopes_kernel<T>, grid, kResponseThreads, 0, x.device.stream, r, slopes.as<A>());
    launch(operation, response_backward_kernel<T>, grid, kResponseThreads, 0, x.device.stream, r,
           slopes.as<const A>(), dx.as<T>());
  });
}

}   // namespace fastconv::cuda
