// One pass of an optimizer over n elements of a parameter and its state, which is null where a rule runs
// without it.
#pragma once

#include <cstdint>

#include "../../core/update_rules.hpp"

namespace fastconv::cpu {

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
