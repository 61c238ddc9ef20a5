#include "activation.hpp"

#include "lanes.hpp"
#include "math.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

template <class T>
struct Parameters {
  T a, b;
};

template <class T>
struct Relu : Parameters<T> {
  // Keeps NaN and -0.
  static FASTCONV_INLINE Vec<T> forward(Vec<T> x) { return select<T>(x < T(0), zero<T>(), x); }
  // A NaN in y lets the gradient pass.
  static FASTCONV_INLINE Vec<T> backward(Vec<T> grad, Vec<T> y) {
    return select<T>(y <= T(0), zero<T>(), grad);
  }
};

template <class T>
struct Sigmoid : Parameters<T> {
  static FASTCONV_INLINE Vec<T> forward(Vec<T> x) { return sigmoid<T>(x); }
  static FASTCONV_INLINE Vec<T> backward(Vec<T> grad, Vec<T> y) { return grad * (y * (T(1) - y)); }
};

template <class T>
struct Tanh : Parameters<T> {
  static FASTCONV_INLINE Vec<T> forward(Vec<T> x) { return tanh<T>(x); }
  // 1 - y^2 factored: no cancellation where |y| is near 1, with or without FMA.
  static FASTCONV_INLINE Vec<T> backward(Vec<T> grad, Vec<T> y) { return grad * ((T(1) - y) * (T(1) + y)); }
};

// What has parameters is made from them, and its slope(x) is the derivative times the gradient that comes in.
// Where an infinity times 0 would be NaN, x stops short of it: the results are the limits.
template <class T>
struct LeakyRelu : Parameters<T> {
  FASTCONV_INLINE Vec<T> forward(Vec<T> x) const { return select<T>(x > T(0), x, x * this->a); }
  FASTCONV_INLINE Vec<T> backward(Vec<T> grad, Vec<T> x) const {
    return select<T>(x > T(0), grad, grad * this->a);
  }
};

template <class T>
struct Elu : Parameters<T> {
  FASTCONV_INLINE Vec<T> forward(Vec<T> x) const { return by_sign<T>(x, expm1_negative<T>(x) * this->a, x); }
  FASTCONV_INLINE Vec<T> backward(Vec<T> grad, Vec<T> x) const {
    return select<T>(x > T(0), grad, grad * (exp_negative<T>(x) * this->a));
  }
};

template <class T>
struct Hardtanh : Parameters<T> {
  FASTCONV_INLINE Vec<T> forward(Vec<T> x) const { return at_most<T>(at_least<T>(x, this->a), this->b); }
  FASTCONV_INLINE Vec<T> backward(Vec<T> grad, Vec<T> x) const {
    return select<T>((x > this->a) & (x < this->b), grad, zero<T>());
  }
};

// The derivative of x sigmoid(v), v' = slope; 1 - sigmoid(v) is computed apart, for it may be small.
template <class T>
FASTCONV_INLINE Vec<T> swish_slope(Vec<T> x, Vec<T> v, Vec<T> slope) {
  const Vec<T> e = exp_negative<T>(minus_absolute<T>(v)), larger = T(1) / (T(1) + e), smaller = e * larger;
  const Vec<T> s = by_sign<T>(v, smaller, larger), rest = by_sign<T>(v, larger, smaller);
  return s * (T(1) + x * rest * slope);
}

template <class T>
struct Silu : Parameters<T> {
  static constexpr T kEnd = -Real<T>::kExpMin;
  FASTCONV_INLINE Vec<T> forward(Vec<T> x) const {
    x = at_least<T>(x, -kEnd);
    return x * sigmoid<T>(x);
  }
  FASTCONV_INLINE Vec<T> backward(Vec<T> grad, Vec<T> x) const {
    x = at_most<T>(at_least<T>(x, -kEnd), kEnd);
    return grad * swish_slope<T>(x, x, broadcast<T>(T(1)));
  }
};

template <class T>
struct Softplus : Parameters<T> {
  FASTCONV_INLINE Vec<T> forward(Vec<T> x) const {
    const Vec<T> v = x * this->a;
    const Vec<T> y = Relu<T>::forward(v) + log1p_unit<T>(exp_negative<T>(minus_absolute<T>(v)));
    return select<T>(v > this->b, x, y / this->a);
  }
  FASTCONV_INLINE Vec<T> backward(Vec<T> grad, Vec<T> x) const {
    const Vec<T> v = x * this->a;
    return select<T>(v > this->b, grad, grad * sigmoid<T>(v));
  }
};

// x Phi(x) = max(x, 0) - |x| Phi(-|x|): nothing cancels.
template <class T>
struct Gelu : Parameters<T> {
  FASTCONV_INLINE Vec<T> forward(Vec<T> x) const {
    const Vec<T> t = at_most<T>(absolute<T>(x), Real<T>::kNormalMax);
    return at_least<T>(x, T(0)) - times_bell<T>(t * mills<T>(t), t);
  }
  FASTCONV_INLINE Vec<T> backward(Vec<T> grad, Vec<T> x) const {
    constexpr T kDensity = T(0.398942280401432677939946059934);   // at 0: 1 / sqrt(2 pi)
    const Vec<T> t = at_most<T>(absolute<T>(x), Real<T>::kNormalMax);
    const Vec<T> slope = times_bell<T>(mills<T>(t) - t * kDensity, t);   // at -|x|
    return grad * by_sign<T>(x, slope, T(1) - slope);
  }
};

// x sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3), for (1 + tanh u) / 2 would cancel.
template <class T>
struct GeluTanh : Parameters<T> {
  static constexpr T kLinear = T(1.5957691216057307118), kCubic = T(0.071354816272600248776);
  static constexpr T kEnd = sizeof(T) == 4 ? T(12) : T(22);   // past it sigmoid(2 u) is 0 or 1
  FASTCONV_INLINE Vec<T> forward(Vec<T> x) const {
    x = at_least<T>(x, -kEnd);
    return x * sigmoid<T>(x * (kLinear + kCubic * (x * x)));
  }
  FASTCONV_INLINE Vec<T> backward(Vec<T> grad, Vec<T> x) const {
    x = at_most<T>(at_least<T>(x, -kEnd), kEnd);
    const Vec<T> square = x * x;
    return grad * swish_slope<T>(x, x * (kLinear + kCubic * square), kLinear + T(3) * kCubic * square);
  }
};

template <class T, template <class> class Function>
void forward(const T* x, T* y, int64_t n) {
  constexpr int kStep = kLanes<T>;
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) store(y + i, Function<T>::forward(load(x + i)));
  if (i < n) store_partial(y + i, Function<T>::forward(load_partial(x + i, int(n - i))), int(n - i));
}

// Past the caches results go in bursts: each store by itself waits among the loads of what is computed next.
template <bool kStream, class T, class Value, class Some>
FASTCONV_INLINE void walk(T* to, int64_t n, const Value& value, const Some& some) {
  constexpr int64_t kStep = kLanes<T>, kBurst = (1 << 10) / int64_t(sizeof(T));
  int64_t i = 0;
  if constexpr (kStream) {
    alignas(kVectorBytes) T held[kBurst];
    for (; i + kBurst <= n; i += kBurst) {
      for (int64_t k = 0; k < kBurst; k += kStep) store<T>(held + k, value(i + k));
      for (int64_t k = 0; k < kBurst; k += kStep) stream<T>(to + i + k, load(held + k));
    }
  }
  for (; i + kStep <= n; i += kStep) store<T>(to + i, value(i));
  if (i < n) store_partial(to + i, some(i, int(n - i)), int(n - i));
  if (kStream) end_stream();
}

template <class T, template <class> class Function>
void curve(T a, T b, const T* x, T* y, int64_t n, bool stream) {
  const Function<T> f{a, b};
  const auto value = [&](int64_t i) { return f.forward(load(x + i)); };
  const auto some = [&](int64_t i, int count) { return f.forward(load_partial(x + i, count)); };
  stream ? walk<true>(y, n, value, some) : walk<false>(y, n, value, some);
}

template <class T, template <class> class Function>
void curve_backward(T a, T b, const T* grad, const T* x, T* dx, int64_t n, bool stream) {
  const Function<T> f{a, b};
  const auto value = [&](int64_t i) { return f.backward(load(grad + i), load(x + i)); };
  const auto some = [&](int64_t i, int count) {
    return f.backward(load_partial(grad + i, count), load_partial(x + i, count));
  };
  stream ? walk<true>(dx, n, value, some) : walk<false>(dx, n, value, some);
}

}   // namespace

template <class T>
ActivationKernels<T> activation_kernels() {
  return {forward<T, Relu>,
          forward<T, Sigmoid>,
          forward<T, Tanh>,
          {curve<T, Relu>, curve_backward<T, Relu>},
          {curve<T, Sigmoid>, curve_backward<T, Sigmoid>},
          {curve<T, Tanh>, curve_backward<T, Tanh>},
          {curve<T, LeakyRelu>, curve_backward<T, LeakyRelu>},
          {curve<T, Elu>, curve_backward<T, Elu>},
          {curve<T, Hardtanh>, curve_backward<T, Hardtanh>},
          {curve<T, Silu>, curve_backward<T, Silu>},
          {curve<T, Softplus>, curve_backward<T, Softplus>},
          {curve<T, Gelu>, curve_backward<T, Gelu>},
          {curve<T, GeluTanh>, curve_backward<T, GeluTanh>}};
}

template ActivationKernels<float> activation_kernels<float>();
template ActivationKernels<double> activation_kernels<double>();

}   // namespace fastconv::cpu::FASTCONV_ISA
