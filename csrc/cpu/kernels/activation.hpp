// Elementwise activations over a contiguous run of n elements.
#pragma once

#include <cstdint>

namespace fastconv::cpu {

template <class T>
using ActivationKernel = void (*)(const T* x, T* y,
                                  int64_t n);   // x == y allowed: the epilogue of conv, linear
template <class T>
using ActivationBackwardKernel = void (*)(const T* grad, const T* y, T* dx, int64_t n);   // dx == grad allowed

template <class T>
struct ActivationKernels {
  ActivationKernel<T> relu, sigmoid, tanh;
  ActivationBackwardKernel<T> relu_backward, sigmoid_backward, tanh_backward;
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T>
ActivationKernels<T> activation_kernels();
}
#endif

}   // namespace fastconv::cpu
