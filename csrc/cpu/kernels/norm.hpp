// Normalisation of runs of one channel (planes, NCHW) and of rows of channels (channels-last).
//   y = (x - mean) * scale + bias
//   dx = g * scale + (x - mean) * slope + shift, with g the gradient, 0 where a fused ReLU stopped it
// Sums are carried in double, whatever T is.
#pragma once

#include <cstdint>

namespace fastconv::cpu {

// What an element is computed with: one number of each for a run, one a channel for rows.
template <class T>
struct NormTerms {
  const T *mean, *scale, *bias;
  const T *slope, *shift;   // of the backward pass; null where the statistics are given numbers
  bool relu;
  const T* factor = nullptr;   // where a row has statistics of its own: of the scale, which is the weight
};

template <class T>
struct NormSums {
  // Added to sum[0] and square[0]: the sums of x - pivot and of its square over `runs` runs of n elements that
  // begin `stride` apart.
  void (*moments)(const T* x, int64_t runs, int64_t stride, int64_t n, const T* pivot, double* sum,
                  double* square);
  // The same for every channel of (rows, channels).
  void (*moments_rows)(const T* x, int64_t rows, int64_t channels, const T* pivot, double* sum, double* square);

  // Added likewise: the sums of g and of g * (x - mean).
  void (*grad_moments)(const T* grad, const T* x, int64_t runs, int64_t stride, int64_t n, const NormTerms<T>&,
                       double* sum, double* product);
  void (*grad_moments_rows)(const T* grad, const T* x, int64_t rows, int64_t channels, const NormTerms<T>&,
                            double* sum, double* product);
  // The sums of g * weight and of g * weight * (x - mean) over n elements, each with a weight of its own.
  void (*weighted_moments)(const T* grad, const T* x, int64_t n, const T* weight, T mean, double* sum,
                           double* product);
  // Added to sum[i] and product[i], element by element: g and g * (x - mean) * invstd of `rows` rows of n that
  // begin `stride` apart, whose statistics lie `step` apart.
  void (*column_moments)(const T* grad, const T* x, int64_t rows, int64_t stride, int64_t n, const T* mean,
                         const T* invstd, int64_t step, double* sum, double* product);
};

template <class T>
struct NormKernels {
  NormSums<T> sums;

  // `runs` runs of n elements that begin `stride` apart, or rows of channels. stream: past the caches.
  void (*normalize)(const T* x, T* y, int64_t runs, int64_t stride, int64_t n, const NormTerms<T>&,
                    bool stream);
  void (*normalize_rows)(const T* x, T* y, int64_t rows, int64_t channels, const NormTerms<T>&, bool stream);
  void (*backward)(const T* grad, const T* x, T* dx, int64_t runs, int64_t stride, int64_t n,
                   const NormTerms<T>&, bool stream);
  void (*backward_rows)(const T* grad, const T* x, T* dx, int64_t rows, int64_t channels, const NormTerms<T>&,
                        bool stream);
  // A run with statistics of its own: mean, slope and shift are one number each, scale and bias one an element.
  void (*normalize_own)(const T* x, T* y, int64_t runs, int64_t stride, int64_t n, const NormTerms<T>&,
                        bool stream);
  void (*backward_own)(const T* grad, const T* x, T* dx, int64_t runs, int64_t stride, int64_t n,
                       const NormTerms<T>&, bool stream);
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T>
NormSums<T> norm_sums();
template <class T>
NormKernels<T> norm_kernels();
}   // namespace FASTCONV_ISA
#endif

}   // namespace fastconv::cpu
