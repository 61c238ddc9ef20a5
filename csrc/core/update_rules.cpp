#include "update_rules.hpp"

#include <cmath>

namespace fastconv {

template <class T>
SgdCoefficients<T> coefficients_of(const SgdParameters& p) {
  return {T(p.lr), T(p.momentum), T(1 - p.dampening), T(p.weight_decay), p.nesterov, p.first_step};
}

template <class T>
AdamCoefficients<T> coefficients_of(const AdamParameters& p) {
  AdamCoefficients<T> c;
  c.gain1 = T(1 - p.beta1);
  c.beta2 = T(p.beta2);
  c.gain2 = T(1 - p.beta2);
  c.eps = T(p.eps);
  c.step_size = T(p.lr / (1 - std::pow(p.beta1, double(p.step))));
  c.root_correction = T(std::sqrt(1 - std::pow(p.beta2, double(p.step))));
  c.weight_decay = p.decoupled ? T(0) : T(p.weight_decay);
  c.keep = p.decoupled ? T(1 - p.lr * p.weight_decay) : T(1);
  return c;
}

template <class T>
AdagradCoefficients<T> coefficients_of(const AdagradParameters& p) {
  return {T(p.lr / (1 + double(p.step - 1) * p.lr_decay)), T(p.eps), T(p.weight_decay)};
}

template <class T>
AdadeltaCoefficients<T> coefficients_of(const AdadeltaParameters& p) {
  return {T(p.lr), T(p.rho), T(1 - p.rho), T(p.eps), T(p.weight_decay)};
}

template <class T>
RmspropCoefficients<T> coefficients_of(const RmspropParameters& p) {
  return {T(p.lr), T(p.alpha), T(1 - p.alpha), T(p.eps), T(p.weight_decay), T(p.momentum)};
}

template <class T>
LambCoefficients<T> coefficients_of(const LambParameters& p) {
  return {T(1 - p.beta1),
          T(p.beta2),
          T(1 - p.beta2),
          T(p.eps),
          T(p.weight_decay),
          T(1 - std::pow(p.beta1, double(p.step))),
          T(std::sqrt(1 - std::pow(p.beta2, double(p.step))))};
}

#define FASTCONV_COEFFICIENTS(T)                                               \
  template SgdCoefficients<T> coefficients_of(const SgdParameters&);           \
  template AdamCoefficients<T> coefficients_of(const AdamParameters&);         \
  template AdagradCoefficients<T> coefficients_of(const AdagradParameters&);   \
  template AdadeltaCoefficients<T> coefficients_of(const AdadeltaParameters&); \
  template RmspropCoefficients<T> coefficients_of(const RmspropParameters&);   \
  template LambCoefficients<T> coefficients_of(const LambParameters&);
FASTCONV_COEFFICIENTS(float)
FASTCONV_COEFFICIENTS(double)
#undef FASTCONV_COEFFICIENTS

}   // namespace fastconv
