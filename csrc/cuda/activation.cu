#include "activation.cuh"
#include "activation.hpp"
#include "dispatch.cuh"
#include "launch.cuh"

namespace fastconv::cuda {

constexpr int kThreads = 256;

// N elements an access: as many as make 16 bytes where the arrays are aligned so, otherwise 1.
template <class T, class Function, int N>
__global__ void __launch_bounds__(kThreads, 4) activation_kernel(const T* x, T* y, int64_t count) {
  const int64_t step = int64_t(gridDim.x) * kThreads * N;
  for (int64_t i = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * N; i < count; i += step) {
    if (i + N <= count) {
      Vector<T, N> v = load_vector<N>(x + i);
#pragma unroll
      for (int k = 0; k < N; ++k) v[k] = narrow<T>(Function::forward(widen(v[k])));
      store_vector<N>(y + i, v);
    } else {
      for (int64_t k = i; k < count; ++k) y[k] = narrow<T>(Function::forward(widen(x[k])));
    }
  }
}

template <class T, class Function, int N>
__global__ void __launch_bounds__(kThreads, 4)
    activation_backward_kernel(const T* grad, const T* y, T* dx, int64_t count) {
  const int64_t step = int64_t(gridDim.x) * kThreads * N;
  for (int64_t i = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * N; i < count; i += step) {
    if (i + N <= count) {
      Vector<T, N> g = load_vector<N>(grad + i);
      const Vector<T, N> kept = load_vector<N>(y + i);
#pragma unroll
      for (int k = 0; k < N; ++k) g[k] = narrow<T>(Function::backward(widen(g[k]), widen(kept[k])));
      store_vector<N>(dx + i, g);
    } else {
      for (int64_t k = i; k < count; ++k) dx[k] = narrow<T>(Function::backward(widen(grad[k]), widen(y[k])));
    }
  }
}

namespace {

void copy(const View& from, const View& to, const char* operation) {
  if (from.data == to.data) return;
  check(cudaMemcpyAsync(to.data, from.data, size_t(from.elements() * itemsize(from.dtype)),
                        cudaMemcpyDeviceToDevice, static_cast<cudaStream_t>(from.device.stream)),
        operation);
}

struct Forward {
  const View &x, &y;
  const char* operation;

  template <class T, class Function>
  void run() const {
    const bool vectors = is_aligned(x.data, 16) && is_aligned(y.data, 16);
    vectors ? start<T, Function, kLanes16<T>>() : start<T, Function, 1>();
  }
  template <class T, class Function, int N>
  void start() const {
    const int64_t count = x.elements();
    launch(operation, activation_kernel<T, Function, N>, loop_grid(x.device, count, kThreads * N), kThreads, 0,
           x.device.stream, x.as<const T>(), y.as<T>(), count);
  }
};

struct Backward {
  const View &grad, &y, &dx;
  const char* operation;

  template <class T, class Function>
  void run() const {
    const bool vectors = is_aligned(grad.data, 16) && is_aligned(y.data, 16) && is_aligned(dx.data, 16);
    vectors ? start<T, Function, kLanes16<T>>() : start<T, Function, 1>();
  }
  template <class T, class Function, int N>
  void start() const {
    const int64_t count = grad.elements();
    launch(operation, activation_backward_kernel<T, Function, N>, loop_grid(grad.device, count, kThreads * N),
           kThreads, 0, grad.device.stream, grad.as<const T>(), y.as<const T>(), dx.as<T>(), count);
  }
};

template <class T, class Call>
void with_function(Activation kind, const Call& call) {
  switch (kind) {
    case Activation::relu:
      return call.template run<T, Relu>();
    case Activation::sigmoid:
      return call.template run<T, Sigmoid>();
    case Activation::tanh:
      return call.template run<T, Tanh>();
    case Activation::none:
      break;
  }
}

const char* name_of(Activation kind, bool backward) {
  switch (kind) {
    case Activation::relu:
      return backward ? "relu_backward" : "relu";
    case Activation::sigmoid:
      return backward ? "sigmoid_backward" : "sigmoid";
    case Activation::tanh:
      return backward ? "tanh_backward" : "tanh";
    case Activation::none:
      break;
  }
  return "activation";
}

}   // namespace

void activation(Activation kind, const View& x, const View& y) {
  const char* operation = name_of(kind, false);
  if (x.elements() == 0) return;
  const DeviceGuard guard(x.device, operation);
  if (kind == Activation::none) return copy(x, y, operation);
  with_float_type(x.dtype, [&](auto zero) { with_function<decltype(zero)>(kind, Forward{x, y, operation}); });
}

void activation_backward(Activation kind, const View& grad, const View& y, const View& dx) {
  const char* operation = name_of(kind, true);
  if (grad.elements() == 0) return;
  const DeviceGuard guard(grad.device, operation);
  if (kind == Activation::none) return copy(grad, dx, operation);
  with_float_type(grad.dtype,
                  [&](auto zero) { with_function<decltype(zero)>(kind, Backward{grad, y, dx, operation}); });
}

}   // namespace fastconv::cuda
