// The numbers that every element of an update needs, computed once from the options of a call. T is the type
// that the backend computes in.
#pragma once

#include "backend.hpp"

namespace fastconv {

template <class T>
struct SgdCoefficients {
  T lr, momentum, gain, weight_decay;   // gain = 1 - dampening
  bool nesterov, first_step;
};

// Kingma and Ba (2015), algorithm 1; decoupled weight decay: Loshchilov and Hutter (2019), algorithm 2.
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

template <class T>
SgdCoefficients<T> coefficients_of(const SgdParameters&);
template <class T>
AdamCoefficients<T> coefficients_of(const AdamParameters&);
template <class T>
AdagradCoefficients<T> coefficients_of(const AdagradParameters&);
template <class T>
AdadeltaCoefficients<T> coefficients_of(const AdadeltaParameters&);
template <class T>
RmspropCoefficients<T> coefficients_of(const RmspropParameters&);
template <class T>
LambCoefficients<T> coefficients_of(const LambParameters&);

}   // namespace fastconv
