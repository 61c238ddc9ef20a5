// One pass of an optimizer over n elements of a parameter and its state.
#pragma once

#include <cstdint>

namespace fastconv::cpu {

template <class T>
struct SgdCoefficients {
  T lr, momentum, gain, weight_decay;   // gain = 1 - dampening
  bool nesterov, first_step;
};

template <class T>
struct AdamCoefficients {
  T gain1, beta2, gain2, eps;     // gain = 1 - beta
  T step_size, root_correction;   // lr / (1 - beta1^t), sqrt(1 - beta2^t)
  T weight_decay, keep;           // added to the gradient; factor of the parameter (1: none)
};

template <class T>
struct OptimizerKernels {
  // buffer: null without momentum.
  void (*sgd)(const SgdCoefficients<T>&, T* parameter, const T* grad, T* buffer, int64_t n);
  void (*adam)(const AdamCoefficients<T>&, T* parameter, const T* grad, T* exp_avg, T* exp_avg_sq, int64_t n);
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T>
OptimizerKernels<T> optimizer_kernels();
}
#endif

}   // namespace fastconv::cpu
