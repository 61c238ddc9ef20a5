#include "loss.hpp"

#include "lanes.hpp"
#include "math.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// Calls step(offset, count) for each vector of [0, n): the constant kLanes for full ones, then the tail.
template <class T, class Step>
FASTCONV_INLINE void for_vectors(int64_t n, Step step) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) step(i, kLanes<T>);
  if (i < n) step(i, int(n - i));
}
// The lanes from `count` on replaced.
template <class T>
FASTCONV_INLINE Vec<T> fill_tail(Vec<T> v, int count, T value) {
  if (count == kLanes<T>) return v;
  Mask<T> lane;
  for (int i = 0; i < kLanes<T>; ++i) lane[i] = i;
  return select<T>(lane < Mask<T>{} + count, v, broadcast<T>(value));
}

// NaN elements are ignored here; they come back through exp(x - maximum).
template <class T>
FASTCONV_INLINE T reduce_max(Vec<T> v) {
  T lane[kLanes<T>];
  __builtin_memcpy(lane, &v, sizeof v);
  for (int half = kLanes<T> / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] = lane[i] > lane[i + half] ? lane[i] : lane[i + half];
  return lane[0];
}

template <class T>
FASTCONV_INLINE T row_max(const T* x, int64_t classes) {
  const T lowest = -T(__builtin_inf());
  Vec<T> best = broadcast<T>(lowest);
  for_vectors<T>(classes, [&](int64_t i, int count) {
    const Vec<T> v = fill_tail<T>(take(x + i, count), count, lowest);
    best = select<T>(v > best, v, best);
  });
  return reduce_max<T>(best);
}

// sum exp(x - maximum); keeps the terms in y unless it is null.
template <class T>
FASTCONV_INLINE T row_exp(const T* x, T maximum, T* y, int64_t classes) {
  Vec<T> sum = zero<T>();
  for_vectors<T>(classes, [&](int64_t i, int count) {
    const Vec<T> e = exp<T>(take(x + i, count) - maximum);
    if (y) put<false>(y + i, e, count);
    sum += fill_tail<T>(e, count, T(0));
  });
  return reduce_add<T>(sum);
}

template <class T>
T log_of(T x) {
  return log<T>(broadcast<T>(x))[0];
}

template <class T>
void softmax(const T* x, T* y, int64_t rows, int64_t classes) {
  for (int64_t row = 0; row < rows; ++row, x += classes, y += classes) {
    const T scale = T(1) / row_exp(x, row_max(x, classes), y, classes);
    for_vectors<T>(classes,
                   [&](int64_t i, int count) { put<false>(y + i, take(y + i, count) * scale, count); });
  }
}

template <class T>
void log_softmax(const T* x, T* y, int64_t rows, int64_t classes) {
  for (int64_t row = 0; row < rows; ++row, x += classes, y += classes) {
    const T maximum = row_max(x, classes);
    const T log_sum = log_of(row_exp<T>(x, maximum, nullptr, classes));
    for_vectors<T>(classes, [&](int64_t i, int count) {
      put<false>(y + i, (take(x + i, count) - maximum) - log_sum, count);
    });
  }
}

template <class T>
void softmax_backward(const T* grad, const T* y, T* dx, int64_t rows, int64_t classes) {
  for (int64_t row = 0; row < rows; ++row, grad += classes, y += classes, dx += classes) {
    Vec<T> sum = zero<T>();
    for_vectors<T>(classes, [&](int64_t i, int count) { sum += take(grad + i, count) * take(y + i, count); });
    const T dot = reduce_add<T>(sum);
    for_vectors<T>(classes, [&](int64_t i, int count) {
      put<false>(dx + i, take(y + i, count) * (take(grad + i, count) - dot), count);
    });
  }
}

template <class T>
void log_softmax_backward(const T* grad, const T* y, T* dx, int64_t rows, int64_t classes) {
  for (int64_t row = 0; row < rows; ++row, grad += classes, y += classes, dx += classes) {
    Vec<T> sum = zero<T>();
    for_vectors<T>(classes, [&](int64_t i, int count) { sum += take(grad + i, count); });
    const T total = reduce_add<T>(sum);
    for_vectors<T>(classes, [&](int64_t i, int count) {
      put<false>(dx + i, take(grad + i, count) - exp<T>(take(y + i, count)) * total, count);
    });
  }
}

template <class T>
FASTCONV_INLINE Vec<T> column_max(const T* x, int64_t classes, int64_t stride, int count) {
  Vec<T> best = broadcast<T>(-T(__builtin_inf()));
  for (int64_t c = 0; c < classes; ++c) {
    const Vec<T> v = take(x + c * stride, count);
    best = select<T>(v > best, v, best);
  }
  return best;
}

template <class T>
void softmax_columns(const T* x, T* y, int64_t classes, int64_t stride, int64_t columns) {
  for_vectors<T>(columns, [&](int64_t i, int count) {
    const Vec<T> maximum = column_max(x + i, classes, stride, count);
    Vec<T> sum = zero<T>();
    for (int64_t c = 0; c < classes; ++c) {
      const Vec<T> e = exp<T>(take(x + c * stride + i, count) - maximum);
      put<false>(y + c * stride + i, e, count);
      sum += e;
    }
    const Vec<T> scale = T(1) / sum;
    for (int64_t c = 0; c < classes; ++c)
      put<false>(y + c * stride + i, take(y + c * stride + i, count) * scale, count);
  });
}

template <class T>
void log_softmax_columns(const T* x, T* y, int64_t classes, int64_t stride, int64_t columns) {
  for_vectors<T>(columns, [&](int64_t i, int count) {
    const Vec<T> maximum = column_max(x + i, classes, stride, count);
    Vec<T> sum = zero<T>();
    for (int64_t c = 0; c < classes; ++c) sum += exp<T>(take(x + c * stride + i, count) - maximum);
    const Vec<T> log_sum = log<T>(sum);
    for (int64_t c = 0; c < classes; ++c)
      put<false>(y + c * stride + i, (take(x + c * stride + i, count) - maximum) - log_sum, count);
  });
}

template <class T>
void softmax_backward_columns(const T* grad, const T* y, T* dx, int64_t classes, int64_t stride,
                              int64_t columns) {
  for_vectors<T>(columns, [&](int64_t i, int count) {
    Vec<T> dot = zero<T>();
    for (int64_t c = 0; c < classes; ++c)
      dot += take(grad + c * stride + i, count) * take(y + c * stride + i, count);
    for (int64_t c = 0; c < classes; ++c) {
      const int64_t at = c * stride + i;
      put<false>(dx + at, take(y + at, count) * (take(grad + at, count) - dot), count);
    }
  });
}

template <class T>
void log_softmax_backward_columns(const T* grad, const T* y, T* dx, int64_t classes, int64_t stride,
                                  int64_t columns) {
  for_vectors<T>(columns, [&](int64_t i, int count) {
    Vec<T> total = zero<T>();
    for (int64_t c = 0; c < classes; ++c) total += take(grad + c * stride + i, count);
    for (int64_t c = 0; c < classes; ++c) {
      const int64_t at = c * stride + i;
      put<false>(dx + at, take(grad + at, count) - exp<T>(take(y + at, count)) * total, count);
    }
  });
}

template <class T>
void log_sum_exp(const T* x, T* maximum, T* log_sum, int64_t rows, int64_t classes) {
  for (int64_t row = 0; row < rows; ++row, x += classes) {
    maximum[row] = row_max(x, classes);
    log_sum[row] = row_exp<T>(x, maximum[row], nullptr, classes);
  }
  for_vectors<T>(
      rows, [&](int64_t i, int count) { put<false>(log_sum + i, log<T>(take(log_sum + i, count)), count); });
}

template <class T>
void scaled_softmax(const T* x, const T* scale, int64_t scale_step, T* y, int64_t rows, int64_t classes) {
  for (int64_t row = 0; row < rows; ++row, x += classes, y += classes) {
    const T factor = scale[row * scale_step];
    const T inverse = T(1) / row_exp(x, row_max(x, classes), y, classes);
    for_vectors<T>(classes, [&](int64_t i, int count) {
      put<false>(y + i, take(y + i, count) * inverse * factor, count);
    });
  }
}

}   // namespace

template <class T>
LossKernels<T> loss_kernels() {
  return {
      softmax<T>,         log_softmax<T>,         softmax_backward<T>,         log_softmax_backward<T>,
      softmax_columns<T>, log_softmax_columns<T>, softmax_backward_columns<T>, log_softmax_backward_columns<T>,
      log_sum_exp<T>,     scaled_softmax<T>};
}

template LossKernels<float> loss_kernels<float>();
template LossKernels<double> loss_kernels<double>();

}   // namespace fastconv::cpu::FASTCONV_ISA
