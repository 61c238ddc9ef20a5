// Elementwise activations over a contiguous run of n elements.
#pragma once

#include <cstdint>

namespace fastconv::cpu {

template <class T>
using ActivationKernel = void (*)(const T* x, T* y,
                                  int64_t n);   // x == y allowed: the epilogue of conv, linear
// A function of one number with two parameters. stream: the result past the caches; it is then aligned.
// dx == grad allowed.
template <class T>
struct CurveKernel {
  void (*forward)(T a, T b, const T* x, T* y, int64_t n, bool stream);
  void (*backward)(T a, T b, const T* grad, const T* x, T* dx, int64_t n, bool stream);
};

template <class T>
struct ActivationKernels {
  ActivationKernel<T> relu, sigmoid, tanh;
  CurveKernel<T> of_relu, of_sigmoid, of_tanh;   // without parameters; backward from y in place of x
  CurveKernel<T> leaky_relu, elu, hardtanh, silu, softplus, gelu, gelu_tanh;
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T>
ActivationKernels<T> activation_kernels();
}
#endif

}   // namespace fastconv::cpu
