// Local response normalisation: s = k + alpha * sum of x^2 over a window of channels, y = x * s^-beta. Channels
// may be rows (planes of pixels) or neighbours in memory; windows are lists of pointers, one a channel, that
// move along together.
#pragma once

#include <cstdint>

namespace fastconv::cpu {

struct ResponseTerms {
  double k, alpha, beta;   // alpha: already divided by the window's size
};

// `rows`, `count`: the window's channels. `runs` runs of n elements; they begin `pitch` apart in the window's
// rows (and in power and slope), `stride` apart in x, y, grad and dx. `ahead`: rows that come next, fetched
// meanwhile; null: none.
template <class T>
struct Responses {
  const T* const* rows;
  int64_t count, runs, pitch, stride, n;
  const T* ahead[2] = {};
};

template <class T>
struct LocalResponseNormKernels {
  void (*forward)(const Responses<T>&, const ResponseTerms&, const T* x, T* y);
  // power = s^-beta, slope = grad * x * s^(-beta - 1).
  void (*slopes)(const Responses<T>&, const ResponseTerms&, const T* grad, const T* x, T* power, T* slope);
  // dx = grad * power - 2 * alpha * beta * x * sum of the rows, which are slopes.
  void (*backward)(const Responses<T>&, const ResponseTerms&, const T* grad, const T* x, const T* power, T* dx);
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T>
LocalResponseNormKernels<T> local_response_norm_kernels();
}
#endif

}   // namespace fastconv::cpu
