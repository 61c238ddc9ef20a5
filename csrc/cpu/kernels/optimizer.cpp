// The order of operations is torch.optim's, so that long runs stay together.
#include "optimizer.hpp"

#include "math.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

template <class T>
FASTCONV_INLINE Vec<T> sgd_direction(const SgdCoefficients<T>& c, Vec<T> p, Vec<T> g) {
  return c.weight_decay != T(0) ? g + p * c.weight_decay : g;   // 0 * inf would be NaN
}

template <class T>
void sgd(const SgdCoefficients<T>& coefficients, T* parameter, const T* grad, T* buffer, int64_t n) {
  const SgdCoefficients<T> c = coefficients;
  for (int64_t i = 0; i < n; i += kLanes<T>) {
    const int count = n - i < kLanes<T> ? int(n - i) : kLanes<T>;
    const bool full = count == kLanes<T>;
    Vec<T> p = full ? load(parameter + i) : load_partial(parameter + i, count);
    Vec<T> g = sgd_direction(c, p, full ? load(grad + i) : load_partial(grad + i, count));
    if (buffer) {
      Vec<T> b = g;
      if (!c.first_step)
        b = (full ? load(buffer + i) : load_partial(buffer + i, count)) * c.momentum + g * c.gain;
      full ? store(buffer + i, b) : store_partial(buffer + i, b, count);
      g = c.nesterov ? g + b * c.momentum : b;
    }
    p -= g * c.lr;
    full ? store(parameter + i, p) : store_partial(parameter + i, p, count);
  }
}

template <class T>
FASTCONV_INLINE void adam_step(const AdamCoefficients<T>& c, Vec<T>& p, Vec<T> g, Vec<T>& m, Vec<T>& v) {
  p *= c.keep;
  if (c.weight_decay != T(0)) g += p * c.weight_decay;
  m += (g - m) * c.gain1;
  v = v * c.beta2 + g * g * c.gain2;
  p -= m * c.step_size / (sqrt(v) / c.root_correction + c.eps);
}

template <class T>
void adam(const AdamCoefficients<T>& coefficients, T* parameter, const T* grad, T* exp_avg, T* exp_avg_sq,
          int64_t n) {
  const AdamCoefficients<T> c = coefficients;
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    Vec<T> p = load(parameter + i), m = load(exp_avg + i), v = load(exp_avg_sq + i);
    adam_step<T>(c, p, load(grad + i), m, v);
    store(parameter + i, p);
    store(exp_avg + i, m);
    store(exp_avg_sq + i, v);
  }
  if (i == n) return;
  const int rest = int(n - i);
  Vec<T> p = load_partial(parameter + i, rest), m = load_partial(exp_avg + i, rest),
         v = load_partial(exp_avg_sq + i, rest);
  adam_step<T>(c, p, load_partial(grad + i, rest), m, v);
  store_partial(parameter + i, p, rest);
  store_partial(exp_avg + i, m, rest);
  store_partial(exp_avg_sq + i, v, rest);
}

}   // namespace

template <class T>
OptimizerKernels<T> optimizer_kernels() {
  return {sgd<T>, adam<T>};
}

template OptimizerKernels<float> optimizer_kernels<float>();
template OptimizerKernels<double> optimizer_kernels<double>();

}   // namespace fastconv::cpu::FASTCONV_ISA
