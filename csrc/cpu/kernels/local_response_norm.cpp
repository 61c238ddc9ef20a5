#include "local_response_norm.hpp"

#include "lanes.hpp"
#include "math.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

constexpr int kVectors = 4;   // side by side: a row's pointer is fetched once for all of them

// s^-3/4 from two roots.
template <class T>
struct ThreeQuarters {
  explicit FASTCONV_INLINE ThreeQuarters(double) {}
  FASTCONV_INLINE Vec<T> operator()(Vec<T> s) const {
    const Vec<T> inverse_root = T(1) / sqrt(s);
    return inverse_root * sqrt(inverse_root);
  }
  // s^-3/4, and s^-7/4 without another division.
  FASTCONV_INLINE Vec<T> with_next(Vec<T> s, Vec<T>* next) const {
    const Vec<T> inverse_root = T(1) / sqrt(s), power = inverse_root * sqrt(inverse_root);
    *next = power * inverse_root * inverse_root;
    return power;
  }
};

// s^-beta; in double, for a logarithm's rounding errors grow with the exponent.
template <class T>
struct AnyPower {
  explicit FASTCONV_INLINE AnyPower(double exponent) : beta(exponent) {}
  FASTCONV_INLINE Vec<T> operator()(Vec<T> s) const {
    if constexpr (sizeof(T) == sizeof(double)) {
      return raise(s);
    } else {
      const Vec<double> half[2] = {raise(widen<0>(s)), raise(widen<1>(s))};
      Vec<T> power;
      for (int i = 0; i < kLanes<T>; ++i) power[i] = T(half[i / kLanes<double>][i % kLanes<double>]);
      return power;
    }
  }
  FASTCONV_INLINE Vec<T> with_next(Vec<T> s, Vec<T>* next) const {
    const Vec<T> power = (*this)(s);
    *next = power / s;
    return power;
  }
  FASTCONV_INLINE Vec<double> raise(Vec<double> s) const { return exp<double>(-beta * log<double>(s)); }
  double beta;
};

template <bool kSquares, class T, int kCount>
FASTCONV_INLINE void sum_rows(const Responses<T>& r, int64_t at, int count, Vec<T> (&sum)[kCount]) {
  for (int v = 0; v < kCount; ++v) sum[v] = zero<T>();
  for (int64_t row = 0; row < r.count; ++row) {
    const T* from = r.rows[row] + at;
#pragma GCC unroll 4
    for (int v = 0; v < kCount; ++v) {
      const Vec<T> value = take(from + v * kLanes<T>, count);
      sum[v] += kSquares ? value * value : value;
    }
  }
}

// step(sum, in the rows, in x, count) for every vector of every run, with the sum of the rows there.
template <bool kSquares, class T, class Step>
FASTCONV_INLINE void walk(const Responses<T>& r, const Step& step) {
  constexpr int kLane = kLanes<T>;
  for (int64_t run = 0; run < r.runs; ++run) {
    const int64_t from = run * r.pitch, to = run * r.stride;
    int64_t i = 0;
    const auto single = [&](int count) {
      Vec<T> sum[1];
      sum_rows<kSquares>(r, from + i, count, sum);
      step(sum[0], from + i, to + i, count);
      i += count;
    };
    for (; i + kVectors * kLane <= r.n; i += kVectors * kLane) {
      Vec<T> sum[kVectors];
      for (const T* row : r.ahead)
        for (int v = 0; row && v < kVectors; v += 64 / kVectorBytes) __builtin_prefetch(row + i + v * kLane);
      sum_rows<kSquares>(r, from + i, kLane, sum);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) step(sum[v], from + i + v * kLane, to + i + v * kLane, kLane);
    }
    while (i + kLane <= r.n) single(kLane);
    if (i < r.n) single(int(r.n - i));
  }
}

template <template <class> class Power, class T>
void forward_as(const Responses<T>& r, const ResponseTerms& t, const T* x, T* y) {
  const Power<T> power(t.beta);
  const T k = T(t.k), alpha = T(t.alpha);
  walk<true>(r, [&](Vec<T> sum, int64_t, int64_t at, int count) {
    put<false>(y + at, take(x + at, count) * power(sum * alpha + k), count);
  });
}

template <class T>
void forward(const Responses<T>& r, const ResponseTerms& t, const T* x, T* y) {
  t.beta == 0.75 ? forward_as<ThreeQuarters>(r, t, x, y) : forward_as<AnyPower>(r, t, x, y);
}

template <template <class> class Power, class T>
void slopes_as(const Responses<T>& r, const ResponseTerms& t, const T* grad, const T* x, T* powers, T* slope) {
  const Power<T> power(t.beta);
  const T k = T(t.k), alpha = T(t.alpha);
  walk<true>(r, [&](Vec<T> sum, int64_t row, int64_t at, int count) {
    Vec<T> next;
    put<false>(powers + row, power.with_next(sum * alpha + k, &next), count);
    put<false>(slope + row, take(grad + at, count) * take(x + at, count) * next, count);
  });
}

template <class T>
void slopes(const Responses<T>& r, const ResponseTerms& t, const T* grad, const T* x, T* power, T* slope) {
  t.beta == 0.75 ? slopes_as<ThreeQuarters>(r, t, grad, x, power, slope)
                 : slopes_as<AnyPower>(r, t, grad, x, power, slope);
}

template <class T>
void backward(const Responses<T>& r, const ResponseTerms& t, const T* grad, const T* x, const T* power, T* dx) {
  const T factor = T(-2 * t.alpha * t.beta);
  walk<false>(r, [&](Vec<T> sum, int64_t row, int64_t at, int count) {
    const Vec<T> through = take(grad + at, count) * take(power + row, count);
    put<false>(dx + at, through + take(x + at, count) * (sum * factor), count);
  });
}

}   // namespace

template <class T>
LocalResponseNormKernels<T> local_response_norm_kernels() {
  return {forward<T>, slopes<T>, backward<T>};
}

template LocalResponseNormKernels<float> local_response_norm_kernels<float>();
template LocalResponseNormKernels<double> local_response_norm_kernels<double>();

}   // namespace fastconv::cpu::FASTCONV_ISA
