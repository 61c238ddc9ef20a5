// Activations of one number, for their own kernels and for what other kernels end with. backward starts from
// the gradient at the output and the output y.
#pragma once

#include "core/backend.hpp"
#include "math.cuh"
#include "types.cuh"

namespace fastconv::cuda {

struct Relu {
  // Keeps NaN and -0.
  template <class A>
  static __device__ __forceinline__ A forward(A x) {
    return x < A(0) ? A(0) : x;
  }
  // A NaN in y lets the gradient pass.
  template <class A>
  static __device__ __forceinline__ A backward(A grad, A y) {
    return y <= A(0) ? A(0) : grad;
  }
};

struct Sigmoid {
  template <class A>
  static __device__ __forceinline__ A forward(A x) {
    return 1 / (1 + exponential(-x));
  }
  template <class A>
  static __device__ __forceinline__ A backward(A grad, A y) {
    return grad * (y * (A(1) - y));
  }
};

struct Tanh {
  static __device__ __forceinline__ float forward(float x) { return tanhf(x); }
  static __device__ __forceinline__ double forward(double x) { return tanh(x); }
  // 1 - y^2 factored: no cancellation where |y| is near 1.
  template <class A>
  static __device__ __forceinline__ A backward(A grad, A y) {
    return grad * ((A(1) - y) * (A(1) + y));
  }
};

template <class A>
__device__ __forceinline__ A activate(Activation kind, A x) {
  switch (kind) {
    case Activation::relu:
      return Relu::forward(x);
    case Activation::sigmoid:
      return Sigmoid::forward(x);
    case Activation::tanh:
      return Tanh::forward(x);
    case Activation::none:
      break;
  }
  return x;
}

}   // namespace fastconv::cuda
