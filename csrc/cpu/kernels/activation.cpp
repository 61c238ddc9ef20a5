#include "activation.hpp"

#include "math.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

template <class T>
struct Relu {
  // Keeps NaN and -0.
  static FASTCONV_INLINE Vec<T> forward(Vec<T> x) { return select<T>(x < T(0), zero<T>(), x); }
  // A NaN in y lets the gradient pass.
  static FASTCONV_INLINE Vec<T> backward(Vec<T> grad, Vec<T> y) {
    return select<T>(y <= T(0), zero<T>(), grad);
  }
};

template <class T>
struct Sigmoid {
  static FASTCONV_INLINE Vec<T> forward(Vec<T> x) { return sigmoid<T>(x); }
  static FASTCONV_INLINE Vec<T> backward(Vec<T> grad, Vec<T> y) { return grad * (y * (T(1) - y)); }
};

template <class T>
struct Tanh {
  static FASTCONV_INLINE Vec<T> forward(Vec<T> x) { return tanh<T>(x); }
  // 1 - y^2 factored: no cancellation where |y| is near 1, with or without FMA.
  static FASTCONV_INLINE Vec<T> backward(Vec<T> grad, Vec<T> y) { return grad * ((T(1) - y) * (T(1) + y)); }
};

template <class T, template <class> class Function>
void forward(const T* x, T* y, int64_t n) {
  constexpr int kStep = kLanes<T>;
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) store(y + i, Function<T>::forward(load(x + i)));
  if (i < n) store_partial(y + i, Function<T>::forward(load_partial(x + i, int(n - i))), int(n - i));
}

template <class T, template <class> class Function>
void backward(const T* grad, const T* y, T* dx, int64_t n) {
  constexpr int kStep = kLanes<T>;
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) store(dx + i, Function<T>::backward(load(grad + i), load(y + i)));
  if (i == n) return;
  const int rest = int(n - i);
  store_partial(dx + i, Function<T>::backward(load_partial(grad + i, rest), load_partial(y + i, rest)), rest);
}

}   // namespace

template <class T>
ActivationKernels<T> activation_kernels() {
  return {forward<T, Relu>,  forward<T, Sigmoid>,  forward<T, Tanh>,
          backward<T, Relu>, backward<T, Sigmoid>, backward<T, Tanh>};
}

template ActivationKernels<float> activation_kernels<float>();
template ActivationKernels<double> activation_kernels<double>();

}   // namespace fastconv::cpu::FASTCONV_ISA
