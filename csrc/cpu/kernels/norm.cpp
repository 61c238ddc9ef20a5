#include "norm.hpp"

#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

template <class T>
FASTCONV_INLINE Vec<T> take(const T* p, int count) {
  return count == kLanes<T> ? load(p) : load_partial(p, count);
}

template <bool kStream, class T>
FASTCONV_INLINE void put(T* p, Vec<T> v, int count) {
  if (count != kLanes<T>) return store_partial(p, v, count);
  if constexpr (kStream) return stream<T>(p, v);
  store(p, v);
}

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
  explicit FASTCONV_INLINE Terms(const NormTerms<T>& t)
      : mean(t.mean), scale(t.scale), bias(t.bias), slope(t.slope), shift(t.shift) {}
  Term<T> mean, scale, bias, slope, shift;
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

  template <template <class> class Term>
  FASTCONV_INLINE void operator()(const Terms<T, Term>& t, int64_t i, int count) const {
    const Vec<T> v =
        affine<T>(take(x + i, count) - t.mean.at(i, count), t.scale.at(i, count), t.bias.at(i, count));
    put<kStream>(y + i, kRelu ? select<T>(v < T(0), zero<T>(), v) : v, count);
  }
  const T* result() const { return y; }
};

template <class T, bool kRelu, bool kCentred, bool kStream>
struct Backward {
  const T *grad, *x;
  T* dx;

  template <template <class> class Term>
  FASTCONV_INLINE void operator()(const Terms<T, Term>& t, int64_t i, int count) const {
    Vec<T> g = take(grad + i, count), centred{};
    const Vec<T> scale = t.scale.at(i, count);
    if constexpr (kRelu || kCentred) centred = take(x + i, count) - t.mean.at(i, count);
    if constexpr (kRelu) g = stopped<T>(g, affine<T>(centred, scale, t.bias.at(i, count)));
    g *= scale;
    if constexpr (kCentred) g += centred * t.slope.at(i, count) + t.shift.at(i, count);
    put<kStream>(dx + i, g, count);
  }
  const T* result() const { return dx; }
};

template <class T>
int to_aligned(const T* p, int64_t n) {
  const int past = int(reinterpret_cast<uintptr_t>(p) % kVectorBytes / sizeof(T));
  const int count = past ? kLanes<T> - past : 0;
  return count < n ? count : int(n);
}

template <bool kStream, class T, template <class> class Term, class Step>
FASTCONV_INLINE void walk(const Terms<T, Term>& terms, int64_t n, const Step& step) {
  int64_t i = 0;
  if constexpr (kStream) {
    i = to_aligned(step.result(), n);
    if (i > 0) step(terms, 0, int(i));
  }
  for (; i + kLanes<T> <= n; i += kLanes<T>) step(terms, i, kLanes<T>);
  if (i < n) step(terms, i, int(n - i));
}

template <class T, template <class> class Term, bool kRelu, bool kStream>
void normalize_as(const T* x, T* y, int64_t runs, int64_t stride, int64_t n, const NormTerms<T>& given) {
  const Terms<T, Term> terms(given);
  for (int64_t at = 0; at < runs * stride; at += stride)
    walk<kStream>(terms, n, Normalize<T, kRelu, kStream>{x + at, y + at});
  if (kStream) end_stream();
}

template <class T, template <class> class Term>
void normalize_all(const T* x, T* y, int64_t runs, int64_t stride, int64_t n, const NormTerms<T>& t,
                   bool stream) {
  if (t.relu)
    stream ? normalize_as<T, Term, true, true>(x, y, runs, stride, n, t)
           : normalize_as<T, Term, true, false>(x, y, runs, stride, n, t);
  else
    stream ? normalize_as<T, Term, false, true>(x, y, runs, stride, n, t)
           : normalize_as<T, Term, false, false>(x, y, runs, stride, n, t);
}

template <class T>
void normalize_rows(const T* x, T* y, int64_t rows, int64_t channels, const NormTerms<T>& t, bool stream) {
  normalize_all<T, Each>(x, y, rows, channels, channels, t, stream);
}

template <class T, template <class> class Term, bool kRelu, bool kCentred, bool kStream>
void backward_as(const T* grad, const T* x, T* dx, int64_t runs, int64_t stride, int64_t n,
                 const NormTerms<T>& given) {
  const Terms<T, Term> terms(given);
  for (int64_t at = 0; at < runs * stride; at += stride)
    walk<kStream>(terms, n, Backward<T, kRelu, kCentred, kStream>{grad + at, x + at, dx + at});
  if (kStream) end_stream();
}

template <class T, template <class> class Term, bool kRelu>
void backward_with(const T* grad, const T* x, T* dx, int64_t runs, int64_t stride, int64_t n,
                   const NormTerms<T>& t, bool stream) {
  if (t.slope)
    stream ? backward_as<T, Term, kRelu, true, true>(grad, x, dx, runs, stride, n, t)
           : backward_as<T, Term, kRelu, true, false>(grad, x, dx, runs, stride, n, t);
  else
    stream ? backward_as<T, Term, kRelu, false, true>(grad, x, dx, runs, stride, n, t)
           : backward_as<T, Term, kRelu, false, false>(grad, x, dx, runs, stride, n, t);
}

template <class T, template <class> class Term>
void backward_all(const T* grad, const T* x, T* dx, int64_t runs, int64_t stride, int64_t n,
                  const NormTerms<T>& t, bool stream) {
  t.relu ? backward_with<T, Term, true>(grad, x, dx, runs, stride, n, t, stream)
         : backward_with<T, Term, false>(grad, x, dx, runs, stride, n, t, stream);
}

template <class T>
void backward_rows(const T* grad, const T* x, T* dx, int64_t rows, int64_t channels, const NormTerms<T>& t,
                   bool stream) {
  backward_all<T, Each>(grad, x, dx, rows, channels, channels, t, stream);
}

}   // namespace

template <class T>
NormKernels<T> norm_kernels() {
  return {norm_sums<T>(), normalize_all<T, Same>, normalize_rows<T>, backward_all<T, Same>, backward_rows<T>};
}

template NormKernels<float> norm_kernels<float>();
template NormKernels<double> norm_kernels<double>();

}   // namespace fastconv::cpu::FASTCONV_ISA
