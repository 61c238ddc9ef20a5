#include "optimizer.hpp"

#include <cmath>

#include "isa.hpp"
#include "parallel.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kGrain = 32768;   // elements a chunk: 10 to 20 us

template <class T>
void sgd(const SgdParameters& p, const View& parameter, const View& grad, const View* momentum) {
  const SgdCoefficients<T> c = {T(p.lr),           T(p.momentum), T(1 - p.dampening),
                                T(p.weight_decay), p.nesterov,    p.first_step};
  T* values = parameter.as<T>();
  const T* g = grad.as<const T>();
  T* buffer = momentum && p.momentum != 0 ? momentum->as<T>() : nullptr;
  const auto kernel = kernels<T>().optimizer.sgd;
  parallel_ranges(parameter.elements(), kGrain, [&](int64_t begin, int64_t end) {
    kernel(c, values + begin, g + begin, buffer ? buffer + begin : nullptr, end - begin);
  });
}

// Kingma and Ba (2015), algorithm 1; decoupled weight decay: Loshchilov and Hutter (2019), algorithm 2.
template <class T>
void adam(const AdamParameters& p, const View& parameter, const View& grad, const View& exp_avg,
          const View& exp_avg_sq) {
  const double correction1 = 1 - std::pow(p.beta1, double(p.step));
  const double correction2 = 1 - std::pow(p.beta2, double(p.step));
  AdamCoefficients<T> c;
  c.gain1 = T(1 - p.beta1);
  c.beta2 = T(p.beta2);
  c.gain2 = T(1 - p.beta2);
  c.eps = T(p.eps);
  c.step_size = T(p.lr / correction1);
  c.root_correction = T(std::sqrt(correction2));
  c.weight_decay = p.decoupled ? T(0) : T(p.weight_decay);
  c.keep = p.decoupled ? T(1 - p.lr * p.weight_decay) : T(1);
  T *values = parameter.as<T>(), *m = exp_avg.as<T>(), *v = exp_avg_sq.as<T>();
  const T* g = grad.as<const T>();
  const auto kernel = kernels<T>().optimizer.adam;
  parallel_ranges(parameter.elements(), kGrain, [&](int64_t begin, int64_t end) {
    kernel(c, values + begin, g + begin, m + begin, v + begin, end - begin);
  });
}

}   // namespace

void sgd_update(const SgdParameters& p, const View& parameter, const View& grad, const View* momentum) {
  parameter.dtype == DType::float32 ? sgd<float>(p, parameter, grad, momentum)
                                    : sgd<double>(p, parameter, grad, momentum);
}

void adam_update(const AdamParameters& p, const View& parameter, const View& grad, const View& exp_avg,
                 const View& exp_avg_sq) {
  parameter.dtype == DType::float32 ? adam<float>(p, parameter, grad, exp_avg, exp_avg_sq)
                                    : adam<double>(p, parameter, grad, exp_avg, exp_avg_sq);
}

}   // namespace fastconv::cpu
