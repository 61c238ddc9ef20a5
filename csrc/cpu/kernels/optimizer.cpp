// The order of operations is torch.optim's, so that long runs stay together; LAMB's is the paper's.
#include "optimizer.hpp"

#include "lanes.hpp"
#include "math.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// Calls step(p, g, s) for every vector: the parameter, its gradient, and s[0 .. kStates - 1], of which it may
// change p and s.
template <class T, int kStates, class Step>
FASTCONV_INLINE void sweep(T* parameter, const T* grad, T* const* state, int64_t n, const Step& step) {
  for (int64_t i = 0; i < n; i += kLanes<T>) {
    const int count = n - i < kLanes<T> ? int(n - i) : kLanes<T>;
    const bool full = count == kLanes<T>;
    const auto read = [&](const T* from) __attribute__((always_inline)) {
      return full ? load(from + i) : load_partial(from + i, count);
    };
    const auto write = [&](T* to, Vec<T> value) __attribute__((always_inline)) {
      full ? store(to + i, value) : store_partial(to + i, value, count);
    };
    Vec<T> p = read(parameter), s[kStates + 1];
    for (int k = 0; k < kStates; ++k) s[k] = read(state[k]);
    step(p, read(grad), s);
    write(parameter, p);
    for (int k = 0; k < kStates; ++k) write(state[k], s[k]);
  }
}

template <class T>
FASTCONV_INLINE Vec<T> decayed(T weight_decay, Vec<T> p, Vec<T> g) {
  return weight_decay != T(0) ? g + p * weight_decay : g;   // 0 * inf would be NaN
}

template <class T>
FASTCONV_INLINE Vec<T> larger(Vec<T> a, Vec<T> b) {   // NaN wins
  return select<T>(a > b, a, select<T>(a == a, b, a));
}

template <class T>
void sgd(const SgdCoefficients<T>& coefficients, T* parameter, const T* grad, T* const* state, int64_t n) {
  const SgdCoefficients<T> c = coefficients;
  if (!state[0])
    return sweep<T, 0>(parameter, grad, state, n,
                       [&](Vec<T>& p, Vec<T> g, Vec<T>*) { p -= decayed(c.weight_decay, p, g) * c.lr; });
  sweep<T, 1>(parameter, grad, state, n, [&](Vec<T>& p, Vec<T> g, Vec<T>* s) {
    g = decayed(c.weight_decay, p, g);
    s[0] = c.first_step ? g : s[0] * c.momentum + g * c.gain;
    p -= (c.nesterov ? g + s[0] * c.momentum : s[0]) * c.lr;
  });
}

template <class T>
FASTCONV_INLINE void move_moments(T gain1, T beta2, T gain2, Vec<T> g, Vec<T>* s) {
  s[0] += (g - s[0]) * gain1;
  s[1] = s[1] * beta2 + g * g * gain2;
}

template <class T>
void adam(const AdamCoefficients<T>& coefficients, T* parameter, const T* grad, T* const* state, int64_t n) {
  const AdamCoefficients<T> c = coefficients;
  const auto begin = [&](Vec<T>& p, Vec<T> g, Vec<T>* s) __attribute__((always_inline)) {
    p *= c.keep;
    move_moments(c.gain1, c.beta2, c.gain2, decayed(c.weight_decay, p, g), s);
  };
  const auto end = [&](Vec<T>& p, Vec<T> mean, Vec<T> square) __attribute__((always_inline)) {
    p -= mean * c.step_size / (sqrt(square) / c.root_correction + c.eps);
  };
  if (!state[2])
    return sweep<T, 2>(parameter, grad, state, n, [&](Vec<T>& p, Vec<T> g, Vec<T>* s) {
      begin(p, g, s);
      end(p, s[0], s[1]);
    });
  sweep<T, 3>(parameter, grad, state, n, [&](Vec<T>& p, Vec<T> g, Vec<T>* s) {
    begin(p, g, s);
    s[2] = larger<T>(s[2], s[1]);
    end(p, s[0], s[2]);
  });
}

template <class T>
void adagrad(const AdagradCoefficients<T>& coefficients, T* parameter, const T* grad, T* const* state,
             int64_t n) {
  const AdagradCoefficients<T> c = coefficients;
  sweep<T, 1>(parameter, grad, state, n, [&](Vec<T>& p, Vec<T> g, Vec<T>* s) {
    g = decayed(c.weight_decay, p, g);
    s[0] += g * g;
    p -= g * c.lr / (sqrt(s[0]) + c.eps);
  });
}

template <class T>
void adadelta(const AdadeltaCoefficients<T>& coefficients, T* parameter, const T* grad, T* const* state,
              int64_t n) {
  const AdadeltaCoefficients<T> c = coefficients;
  sweep<T, 2>(parameter, grad, state, n, [&](Vec<T>& p, Vec<T> g, Vec<T>* s) {
    g = decayed(c.weight_decay, p, g);
    s[0] = s[0] * c.rho + g * g * c.gain;
    const Vec<T> step = sqrt(s[1] + c.eps) / sqrt(s[0] + c.eps) * g;
    s[1] = s[1] * c.rho + step * step * c.gain;
    p -= step * c.lr;
  });
}

template <class T, bool centered, bool momentum>
FASTCONV_INLINE void rmsprop_rule(const RmspropCoefficients<T>& c, T* parameter, const T* grad, T* const* state,
                                  int64_t n) {
  T* const held[] = {state[0], centered ? state[1] : state[2], state[2]};
  sweep<T, 1 + centered + momentum>(parameter, grad, held, n, [&](Vec<T>& p, Vec<T> g, Vec<T>* s) {
    g = decayed(c.weight_decay, p, g);
    s[0] = s[0] * c.alpha + g * g * c.gain;
    Vec<T> square = s[0];
    if constexpr (centered) {
      s[1] += (g - s[1]) * c.gain;
      square -= s[1] * s[1];
    }
    const Vec<T> step = g / (sqrt(square) + c.eps);
    if constexpr (momentum) {
      s[1 + centered] = s[1 + centered] * c.momentum + step;
      p -= s[1 + centered] * c.lr;
    } else {
      p -= step * c.lr;
    }
  });
}

template <class T>
void rmsprop(const RmspropCoefficients<T>& coefficients, T* parameter, const T* grad, T* const* state,
             int64_t n) {
  const RmspropCoefficients<T> c = coefficients;
  if (state[1])
    state[2] ? rmsprop_rule<T, true, true>(c, parameter, grad, state, n)
             : rmsprop_rule<T, true, false>(c, parameter, grad, state, n);
  else
    state[2] ? rmsprop_rule<T, false, true>(c, parameter, grad, state, n)
             : rmsprop_rule<T, false, false>(c, parameter, grad, state, n);
}

// Sums of squares: vectors of T over blocks of 64, blocks in double.
template <class T>
struct SquareSum {
  static constexpr int kBlock = 64;
  Vec<T> block = zero<T>();
  int terms = 0;
  double sum = 0;

  FASTCONV_INLINE void add(Vec<T> x) {
    block += x * x;
    if (++terms == kBlock) flush();
  }
  FASTCONV_INLINE void flush() {
    sum += double(reduce_add<T>(block));
    block = zero<T>();
    terms = 0;
  }
};

template <class T>
FASTCONV_INLINE Vec<T> lamb_ratio(const LambCoefficients<T>& c, Vec<T> p, const Vec<T>* s) {
  const Vec<T> ratio = s[0] / c.correction1 / (sqrt(s[1]) / c.root_correction + c.eps);
  return decayed(c.weight_decay, p, ratio);
}

template <class T>
void lamb_direction(const LambCoefficients<T>& coefficients, const T* parameter, const T* grad, T* const* state,
                    int64_t n, double* sums) {
  const LambCoefficients<T> c = coefficients;
  SquareSum<T> weights, directions;
  for (int64_t i = 0; i < n; i += kLanes<T>) {
    const int count = n - i < kLanes<T> ? int(n - i) : kLanes<T>;
    const Vec<T> p = load_partial(parameter + i, count);
    Vec<T> s[] = {load_partial(state[0] + i, count), load_partial(state[1] + i, count)};
    move_moments(c.gain1, c.beta2, c.gain2, load_partial(grad + i, count), s);
    store_partial(state[0] + i, s[0], count);
    store_partial(state[1] + i, s[1], count);
    weights.add(p);
    Vec<T> direction = lamb_ratio(c, p, s);
    if (count < kLanes<T>) {   // with eps 0 the lanes past the end are 0 / 0
      T lane[kLanes<T>];
      store(lane, direction);
      direction = load_partial(lane, count);
    }
    directions.add(direction);
  }
  weights.flush();
  directions.flush();
  sums[0] = weights.sum;
  sums[1] = directions.sum;
}

template <class T>
void lamb_step(const LambCoefficients<T>& coefficients, T rate, T* parameter, T* const* state, int64_t n) {
  const LambCoefficients<T> c = coefficients;
  for (int64_t i = 0; i < n; i += kLanes<T>) {
    const int count = n - i < kLanes<T> ? int(n - i) : kLanes<T>;
    const Vec<T> p = load_partial(parameter + i, count);
    const Vec<T> s[] = {load_partial(state[0] + i, count), load_partial(state[1] + i, count)};
    store_partial(parameter + i, Vec<T>(p - lamb_ratio(c, p, s) * rate), count);
  }
}

template <class T>
double sum_of_squares(const T* x, int64_t n) {
  SquareSum<T> squares;
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) squares.add(load(x + i));
  if (i < n) squares.add(load_partial(x + i, int(n - i)));
  squares.flush();
  return squares.sum;
}

}   // namespace

template <class T>
OptimizerKernels<T> optimizer_kernels() {
  return {sgd<T>,     adam<T>,           adagrad<T>,   adadelta<T>,
          rmsprop<T>, lamb_direction<T>, lamb_step<T>, sum_of_squares<T>};
}

template OptimizerKernels<float> optimizer_kernels<float>();
template OptimizerKernels<double> optimizer_kernels<double>();

}   // namespace fastconv::cpu::FASTCONV_ISA
