// Softmax and cross-entropy over rows of class scores. Sums run in a fixed order.
#pragma once

#include <cstdint>

namespace fastconv::cpu {

template <class T>
struct LossKernels {
  // x and y: `rows` rows of `classes` scores.
  void (*softmax)(const T* x, T* y, int64_t rows, int64_t classes);
  void (*log_softmax)(const T* x, T* y, int64_t rows, int64_t classes);
  void (*softmax_backward)(const T* grad, const T* y, T* dx, int64_t rows, int64_t classes);
  void (*log_softmax_backward)(const T* grad, const T* y, T* dx, int64_t rows, int64_t classes);

  // The same down `columns` adjacent columns of a (classes, stride) matrix.
  void (*softmax_columns)(const T* x, T* y, int64_t classes, int64_t stride, int64_t columns);
  void (*log_softmax_columns)(const T* x, T* y, int64_t classes, int64_t stride, int64_t columns);
  void (*softmax_backward_columns)(const T* grad, const T* y, T* dx, int64_t classes, int64_t stride,
                                   int64_t columns);
  void (*log_softmax_backward_columns)(const T* grad, const T* y, T* dx, int64_t classes, int64_t stride,
                                       int64_t columns);

  // Per row: its maximum, and log sum exp(x - maximum). The loss of class t is log_sum - (x[t] - maximum).
  void (*log_sum_exp)(const T* x, T* maximum, T* log_sum, int64_t rows, int64_t classes);
  // y = softmax(x) * scale, scale[row * scale_step].
  void (*scaled_softmax)(const T* x, const T* scale, int64_t scale_step, T* y, int64_t rows, int64_t classes);
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T>
LossKernels<T> loss_kernels();
}
#endif

}   // namespace fastconv::cpu
