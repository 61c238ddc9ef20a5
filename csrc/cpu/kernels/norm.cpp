#include "norm.hpp"

#include "lanes.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// Where a run gets its terms: the same ones everywhere, or one a channel.
template <class T>
struct Same {
  explicit FASTCONV_INLINE Same(const T* p) : value(p ? broadcast(*p) : zero<T>()) {}
  FASTCONV_INLINE Vec<T> at(int64_t, int) const { return value; }
  Vec<T> value;
};
template <class T>
struct Each {
  explicit FASTCONV_INLINE Each(const T* p) : values(p) {}
  FASTCONV_INLINE Vec<T> at(int64_t i, int count) const { return take(values + i, count); }
  const T* values;
};

template <class T, template <class> class Term>
struct Terms {
  static constexpr bool kNextRow = false;
  explicit FASTCONV_INLINE Terms(const NormTerms<T>& t)
      : mean(t.mean), scale(t.scale), bias(t.bias), slope(t.slope), shift(t.shift) {}
  Term<T> mean, scale, bias, slope, shift;
};
template <class T>
using OneChannel = Terms<T, Same>;
template <class T>
using AllChannels = Terms<T, Each>;

// Of a row that is normalised by itself: its own mean and deviation, a weight and a bias for each element.
template <class T>
struct OwnStatistics {
  static constexpr bool kNextRow = true;
  struct Scale {
    FASTCONV_INLINE Vec<T> at(int64_t i, int count) const { return weight.at(i, count) * factor.value; }
    Each<T> weight;
    Same<T> factor;
  };

  explicit FASTCONV_INLINE OwnStatistics(const NormTerms<T>& t)
      : mean(t.mean),
        scale{Each<T>(t.scale), Same<T>(t.factor)},
        bias(t.bias),
        slope(t.slope),
        shift(t.shift) {}
  Same<T> mean;
  Scale scale;
  Each<T> bias;
  Same<T> slope, shift;
};

// The result before the ReLU: one expression for both passes, so that both see the same sign.
template <class T>
FASTCONV_INLINE Vec<T> affine(Vec<T> centred, Vec<T> scale, Vec<T> bias) {
  return centred * scale + bias;
}

template <class T>
FASTCONV_INLINE Vec<T> stopped(Vec<T> grad, Vec<T> y) {
  return select<T>(y <= T(0), zero<T>(), grad);   // a NaN lets it pass
}

// ---- Element by element ----

template <class T, bool kRelu, bool kStream>
struct Normalize {
  const T* x;
  T* y;

  template <class Terms>
  FASTCONV_INLINE void operator()(const Terms& t, int64_t i, int count) const {
    const Vec<T> v =
        affine<T>(take(x + i, count) - t.mean.at(i, count), t.scale.at(i, count), t.bias.at(i, count));
    put<kStream>(y + i, kRelu ? select<T>(v < T(0), zero<T>(), v) : v, count);
  }
  const T* result() const { return y; }
  FASTCONV_INLINE void fetch(int64_t i) const { __builtin_prefetch(x + i); }
};

template <class T, bool kRelu, bool kCentred, bool kStream>
struct Backward {
  const T *grad, *x;
  T* dx;

  template <class Terms>
  FASTCONV_INLINE void operator()(const Terms& t, int64_t i, int count) const {
    // Loads first: behind a branch of theirs the compiler fuses no product into a sum, and bits would differ.
    Vec<T> g = take(grad + i, count), centred{}, bias{}, slope{}, shift{};
    const Vec<T> scale = t.scale.at(i, count);
    if constexpr (kRelu || kCentred) centred = take(x + i, count) - t.mean.at(i, count);
    if constexpr (kRelu) bias = t.bias.at(i, count);
    if constexpr (kCentred) slope = t.slope.at(i, count), shift = t.shift.at(i, count);
    if constexpr (kRelu) g = stopped<T>(g, affine<T>(centred, scale, bias));
    g *= scale;
    if constexpr (kCentred) g += centred * slope + shift;
    put<kStream>(dx + i, g, count);
  }
  const T* result() const { return dx; }
  FASTCONV_INLINE void fetch(int64_t i) const {
    __builtin_prefetch(grad + i);
    __builtin_prefetch(x + i);
  }
};

template <bool kStream, class T, class Terms, class Step>
FASTCONV_INLINE void walk(const Terms& terms, int64_t n, const Step& step) {
  int64_t i = 0;
  if constexpr (kStream) {
    i = to_aligned(step.result(), n);
    if (i > 0) step(terms, 0, int(i));
  }
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    if constexpr (kStream && Terms::kNextRow) step.fetch(i + n);   // memory would wait for the sums
    step(terms, i, kLanes<T>);
  }
  if (i < n) step(terms, i, int(n - i));
}

template <class T, template <class> class Terms, bool kRelu, bool kStream>
void normalize_as(const T* x, T* y, int64_t runs, int64_t stride, int64_t n, const NormTerms<T>& given) {
  const Terms<T> terms(given);
  for (int64_t at = 0; at < runs * stride; at += stride)
    walk<kStream, T>(terms, n, Normalize<T, kRelu, kStream>{x + at, y + at});
  if (kStream) end_stream();
}

template <class T, template <class> class Terms>
void normalize_all(const T* x, T* y, int64_t runs, int64_t stride, int64_t n, const NormTerms<T>& t,
                   bool stream) {
  if (t.relu)
    stream ? normalize_as<T, Terms, true, true>(x, y, runs, stride, n, t)
           : normalize_as<T, Terms, true, false>(x, y, runs, stride, n, t);
  else
    stream ? normalize_as<T, Terms, false, true>(x, y, runs, stride, n, t)
           : normalize_as<T, Terms, false, false>(x, y, runs, stride, n, t);
}

template <class T>
void normalize_rows(const T* x, T* y, int64_t rows, int64_t channels, const NormTerms<T>& t, bool stream) {
  normalize_all<T, AllChannels>(x, y, rows, channels, channels, t, stream);
}

template <class T, template <class> class Terms, bool kRelu, bool kCentred, bool kStream>
void backward_as(const T* grad, const T* x, T* dx, int64_t runs, int64_t stride, int64_t n,
                 const NormTerms<T>& given) {
  const Terms<T> terms(given);
  for (int64_t at = 0; at < runs * stride; at += stride)
    walk<kStream, T>(terms, n, Backward<T, kRelu, kCentred, kStream>{grad + at, x + at, dx + at});
  if (kStream) end_stream();
}

template <class T, template <class> class Terms, bool kRelu>
void backward_with(const T* grad, const T* x, T* dx, int64_t runs, int64_t stride, int64_t n,
                   const NormTerms<T>& t, bool stream) {
  if (t.slope)
    stream ? backward_as<T, Terms, kRelu, true, true>(grad, x, dx, runs, stride, n, t)
           : backward_as<T, Terms, kRelu, true, false>(grad, x, dx, runs, stride, n, t);
  else
    stream ? backward_as<T, Terms, kRelu, false, true>(grad, x, dx, runs, stride, n, t)
           : backward_as<T, Terms, kRelu, false, false>(grad, x, dx, runs, stride, n, t);
}

template <class T, template <class> class Terms>
void backward_all(const T* grad, const T* x, T* dx, int64_t runs, int64_t stride, int64_t n,
                  const NormTerms<T>& t, bool stream) {
  t.relu ? backward_with<T, Terms, true>(grad, x, dx, runs, stride, n, t, stream)
         : backward_with<T, Terms, false>(grad, x, dx, runs, stride, n, t, stream);
}

template <class T>
void backward_rows(const T* grad, const T* x, T* dx, int64_t rows, int64_t channels, const NormTerms<T>& t,
                   bool stream) {
  backward_all<T, AllChannels>(grad, x, dx, rows, channels, channels, t, stream);
}

}   // namespace

template <class T>
NormKernels<T> norm_kernels() {
  return {norm_sums<T>(),
          normalize_all<T, OneChannel>,
          normalize_rows<T>,
          backward_all<T, OneChannel>,
          backward_rows<T>,
          normalize_all<T, OwnStatistics>,
          backward_all<T, OwnStatistics>};
}

template NormKernels<float> norm_kernels<float>();
template NormKernels<double> norm_kernels<double>();

}   // namespace fastconv::cpu::FASTCONV_ISA
