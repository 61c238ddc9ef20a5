// y = f.forward(x) and dx = f.backward(grad, kept), element by element; f computes in what sums are kept in.
#pragma once

#include "launch.cuh"
#include "types.cuh"

namespace fastconv::cuda {

constexpr int kElementThreads = 256;

// N elements an access: as many as make 16 bytes where the arrays are aligned so, otherwise 1.
template <class T, class Function, int N>
__global__ void __launch_bounds__(kElementThreads, sizeof(T) == 8 ? 3 : 4)
    activation_kernel(const Function f, const T* x, T* y, int64_t count) {
  const int64_t step = int64_t(gridDim.x) * kElementThreads * N;
  for (int64_t i = (int64_t(blockIdx.x) * kElementThreads + threadIdx.x) * N; i < count; i += step) {
    if (i + N <= count) {
      Vector<T, N> v = load_vector<N>(x + i);
#pragma unroll
      for (int k = 0; k < N; ++k) v[k] = narrow<T>(f.forward(widen(v[k])));
      store_vector<N>(y + i, v);
    } else {
      for (int64_t k = i; k < count; ++k) y[k] = narrow<T>(f.forward(widen(x[k])));
    }
  }
}

template <class T, class Function, int N>
__global__ void __launch_bounds__(kElementThreads, sizeof(T) == 8 ? 3 : 4)
    activation_backward_kernel(const Function f, const T* grad, const T* kept, T* dx, int64_t count) {
  const int64_t step = int64_t(gridDim.x) * kElementThreads * N;
  for (int64_t i = (int64_t(blockIdx.x) * kElementThreads + threadIdx.x) * N; i < count; i += step) {
    if (i + N <= count) {
      Vector<T, N> g = load_vector<N>(grad + i);
      const Vector<T, N> v = load_vector<N>(kept + i);
#pragma unroll
      for (int k = 0; k < N; ++k) g[k] = narrow<T>(f.backward(widen(g[k]), widen(v[k])));
      store_vector<N>(dx + i, g);
    } else {
      for (int64_t k = i; k < count; ++k) dx[k] = narrow<T>(f.backward(widen(grad[k]), widen(kept[k])));
    }
  }
}

template <class T, class Function, int N>
void start_forward(const char* operation, const Function& f, const View& x, const View& y) {
  const int64_t count = x.elements();
  launch(operation, activation_kernel<T, Function, N>, loop_grid(x.device, count, kElementThreads * N),
         kElementThreads, 0, x.device.stream, f, x.as<const T>(), y.as<T>(), count);
}
template <class T, class Function>
void elementwise(const char* operation, const Function& f, const View& x, const View& y) {
  const bool vectors = is_aligned(x.data, 16) && is_aligned(y.data, 16);
  const auto start = vectors ? start_forward<T, Function, kLanes16<T>> : start_forward<T, Function, 1>;
  start(operation, f, x, y);
}

template <class T, class Function, int N>
void start_backward(const char* operation, const Function& f, const View& grad, const View& kept,
                    const View& dx) {
  const int64_t count = grad.elements();
  launch(operation, activation_backward_kernel<T, Function, N>,
         loop_grid(grad.device, count, kElementThreads * N), kElementThreads, 0, grad.device.stream, f,
         grad.as<const T>(), kept.as<const T>(), dx.as<T>(), count);
}
template <class T, class Function>
void elementwise_backward(const char* operation, const Function& f, const View& grad, const View& kept,
                          const View& dx) {
  const bool vectors = is_aligned(grad.data, 16) && is_aligned(kept.data, 16) && is_aligned(dx.data, 16);
  const auto start = vectors ? start_backward<T, Function, kLanes16<T>> : start_backward<T, Function, 1>;
  start(operation, f, grad, kept, dx);
}

}   // namespace fastconv::cuda
