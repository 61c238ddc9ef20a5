#include "dispatch.cuh"
#include "loss.hpp"
#include "math.cuh"
#include "rows.cuh"

namespace fastconv::cuda {

constexpr int kColumnThreads = 128;

template <class T, bool log, int L>
__global__ void __launch_bounds__(kRowThreads)
    softmax_rows_kernel(const T* x, T* y, int64_t rows, int64_t classes) {
  using A = Accumulator<T>;
  for_rows<A, L>(rows, [&](int64_t row, int lane, Group<A, L>& group) {
    const T* from = x + row * classes;
    T* to = y + row * classes;
    A maximum = -A(INFINITY), sum = 0;
    for (int64_t c = lane; c < classes; c += L) maximum = max(maximum, widen(from[c]));
    maximum = group.maximum(maximum);
    for (int64_t c = lane; c < classes; c += L) sum += exponential(widen(from[c]) - maximum);
    sum = group.sum(sum);
    const A scale = log ? logarithm(sum) : 1 / sum;
    for (int64_t c = lane; c < classes; c += L) {
      const A shifted = widen(from[c]) - maximum;
      to[c] = narrow<T>(log ? shifted - scale : exponential(shifted) * scale);
    }
  });
}

// y (g - sum(g y)), of log-softmax g - exp(y) sum(g).
template <class T, bool log, int L>
__global__ void __launch_bounds__(kRowThreads)
    softmax_backward_rows_kernel(const T* grad, const T* y, T* dx, int64_t rows, int64_t classes) {
  using A = Accumulator<T>;
  for_rows<A, L>(rows, [&](int64_t row, int lane, Group<A, L>& group) {
    const int64_t at = row * classes;
    A sum = 0;
    for (int64_t c = lane; c < classes; c += L) {
      const A g = widen(grad[at + c]);
      sum += log ? g : g * widen(y[at + c]);
    }
    sum = group.sum(sum);
    for (int64_t c = lane; c < classes; c += L) {
      const A g = widen(grad[at + c]), kept = widen(y[at + c]);
      dx[at + c] = narrow<T>(log ? g - exponential(kept) * sum : kept * (g - sum));
    }
  });
}

// A thread a column: neighbours read neighbouring elements.
template <class T, bool log>
__global__ void __launch_bounds__(kColumnThreads)
    softmax_columns_kernel(const T* x, T* y, int64_t columns, int64_t classes, int64_t inner) {
  using A = Accumulator<T>;
  const int64_t column = int64_t(blockIdx.x) * kColumnThreads + threadIdx.x;
  if (column >= columns) return;
  const int64_t at = column / inner * classes * inner + column % inner, end = at + classes * inner;
  A maximum = -A(INFINITY), sum = 0;
#pragma unroll 1   // unrolled, float64 spills
  for (int64_t i = at; i < end; i += inner) maximum = max(maximum, widen(x[i]));
#pragma unroll 1   // unrolled, float64 spills
  for (int64_t i = at; i < end; i += inner) sum += exponential(widen(x[i]) - maximum);
  const A scale = log ? logarithm(sum) : 1 / sum;
#pragma unroll 1   // unrolled, float64 spills
  for (int64_t i = at; i < end; i += inner) {
    const A shifted = widen(x[i]) - maximum;
    y[i] = narrow<T>(log ? shifted - scale : exponential(shifted) * scale);
  }
}

template <class T, bool log>
__global__ void __launch_bounds__(kColumnThreads)
    softmax_backward_columns_kernel(const T* grad, const T* y, T* dx, int64_t columns, int64_t classes,
                                    int64_t inner) {
  using A = Accumulator<T>;
  const int64_t column = int64_t(blockIdx.x) * kColumnThreads + threadIdx.x;
  if (column >= columns) return;
  const int64_t at = column / inner * classes * inner + column % inner, end = at + classes * inner;
  A sum = 0;
#pragma unroll 1   // unrolled, float64 spills
  for (int64_t i = at; i < end; i += inner) sum += log ? widen(grad[i]) : widen(grad[i]) * widen(y[i]);
#pragma unroll 1   // unrolled, float64 spills
  for (int64_t i = at; i < end; i += inner) {
    const A g = widen(grad[i]), kept = widen(y[i]);
    dx[i] = narrow<T>(log ? g - exponential(kept) * sum : kept * (g - sum));
  }
}

namespace {

template <class T, bool log>
void forward(const char* operation, int64_t outer, int64_t classes, int64_t inner, const View& x,
             const View& y) {
  void* stream = x.device.stream;
  if (inner > 1) {
    const dim3 grid(unsigned(ceil_div(outer * inner, kColumnThreads)));
    return launch(operation, softmax_columns_kernel<T, log>, grid, kColumnThreads, 0, stream, x.as<const T>(),
                  y.as<T>(), outer * inner, classes, inner);
  }
  with_row_threads(classes, [&](auto threads) {
    constexpr int L = decltype(threads)::value;
    launch(operation, softmax_rows_kernel<T, log, L>, row_grid(x.device, outer, L), kRowThreads, 0, stream,
           x.as<const T>(), y.as<T>(), outer, classes);
  });
}

template <class T, bool log>
void backward(const char* operation, int64_t outer, int64_t classes, int64_t inner, const View& grad,
              const View& y, const View& dx) {
  void* stream = grad.device.stream;
  if (inner > 1) {
    const dim3 grid(unsigned(ceil_div(outer * inner, kColumnThreads)));
    return launch(operation, softmax_backward_columns_kernel<T, log>, grid, kColumnThreads, 0, stream,
                  grad.as<const T>(), y.as<const T>(), dx.as<T>(), outer * inner, classes, inner);
  }
  with_row_threads(classes, [&](auto threads) {
    constexpr int L = decltype(threads)::value;
    launch(operation, softmax_backward_rows_kernel<T, log, L>, row_grid(grad.device, outer, L), kRowThreads, 0,
           stream, grad.as<const T>(), y.as<const T>(), dx.as<T>(), outer, classes);
  });
}

}   // namespace

void softmax(bool log, int64_t outer, int64_t classes, int64_t inner, const View& x, const View& y) {
  const char* operation = log ? "log_softmax" : "softmax";
  if (x.elements() == 0) return;
  const DeviceGuard guard(x.device, operation);
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    log ? forward<T, true>(operation, outer, classes, inner, x, y)
        : forward<T, false>(operation, outer, classes, inner, x, y);
  });
}

void softmax_backward(bool log, int64_t outer, int64_t classes, int64_t inner, const View& grad, const View& y,
                      const View& dx) {
  const char* operation = log ? "log_softmax_backward" : "softmax_backward";
  if (grad.elements() == 0) return;
  const DeviceGuard guard(grad.device, operation);
  with_float_type(grad.dtype, [&](auto zero) {
    using T = decltype(zero);
    log ? backward<T, true>(operation, outer, classes, inner, grad, y, dx)
        : backward<T, false>(operation, outer, classes, inner, grad, y, dx);
  });
}

}   // namespace fastconv::cuda
