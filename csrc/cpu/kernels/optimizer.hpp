// One pass of an optimizer over n elements of a parameter and its state, which is null where a rule runs
// without it.
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
struct AdagradCoefficients {
  T lr, eps, weight_decay;   // lr of this step
};

template <class T>
struct AdadeltaCoefficients {
  T lr, rho, gain, eps, weight_decay;   // gain = 1 - rho
};

template <class T>
struct RmspropCoefficients {
  T lr, alpha, gain, eps, weight_decay, momentum;   // gain = 1 - alpha
};

template <class T>
struct LambCoefficients {
  T gain1, beta2, gain2, eps, weight_decay;
  T correction1, root_correction;   // 1 - beta1^t, sqrt(1 - beta2^t)
};

template <class T, class Coefficients>
using UpdateKernel = void (*)(const Coefficients&, T* parameter, const T* grad, T* const* state, int64_t n);

template <class T>
struct OptimizerKernels {
  UpdateKernel<T, SgdCoefficients<T>> sgd;             // momentum buffer or null
  UpdateKernel<T, AdamCoefficients<T>> adam;           // mean, square, largest square or null
  UpdateKernel<T, AdagradCoefficients<T>> adagrad;     // sum of squares
  UpdateKernel<T, AdadeltaCoefficients<T>> adadelta;   // square, squared step
  UpdateKernel<T, RmspropCoefficients<T>> rmsprop;     // square, mean or null, momentum buffer or null
  // Moves mean and square on; squares of the parameter's and the direction's norm to sums[0] and sums[1].
  void (*lamb_direction)(const LambCoefficients<T>&, const T* parameter, const T* grad, T* const* state,
                         int64_t n, double* sums);
  // parameter -= rate * direction, the direction being that of the moved state.
  void (*lamb_step)(const LambCoefficients<T>&, T rate, T* parameter, T* const* state, int64_t n);
  double (*sum_of_squares)(const T* x, int64_t n);
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T>
OptimizerKernels<T> optimizer_kernels();
}
#endif

}   // namespace fastconv::cpu
