#include "winograd.hpp"

#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

constexpr double kSqrt2 = 1.41421356237309504880, kHalfSqrt2 = kSqrt2 / 2;

// One dimension of each transform, `in` values to `out`. With points a_j and N_j the product of a_j - a_l over
// the other finite points: the input's row j has the coefficients of the product of (x - a_l), l != j; the
// weight's and the gradient's a_j^k / N_j; the output's columns a_j^i.
template <int m>
struct Rules;

template <>
struct Rules<2> {
  struct Input {
    static constexpr int in = 4, out = 4;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* d, Vec<T>* v) {
      v[0] = d[0] - d[2];
      v[1] = d[2] + d[1];
      v[2] = d[2] - d[1];
      v[3] = d[3] - d[1];
    }
  };
  struct Weight {
    static constexpr int in = 3, out = 4;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* g, Vec<T>* u) {
      const Vec<T> even = T(0.5) * (g[0] + g[2]), odd = T(0.5) * g[1];
      u[0] = g[0];
      u[1] = even + odd;
      u[2] = even - odd;
      u[3] = g[2];
    }
  };
  struct Gradient {
    static constexpr int in = 2, out = 4;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* g, Vec<T>* u) {
      u[0] = g[0];
      u[1] = T(0.5) * (g[0] + g[1]);
      u[2] = T(0.5) * (g[0] - g[1]);
      u[3] = g[1];
    }
  };
  struct Output {
    static constexpr int in = 4, out = 2;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* p, Vec<T>* y) {
      y[0] = p[0] + p[1] + p[2];
      y[1] = p[1] - p[2] + p[3];
    }
  };
  struct WeightGradient {
    static constexpr int in = 4, out = 3;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* p, Vec<T>* y) {
      const Vec<T> even = p[1] + p[2];
      y[0] = p[0] + even;
      y[1] = p[1] - p[2];
      y[2] = even + p[3];
    }
  };
};

template <>
struct Rules<4> {
  struct Input {
    static constexpr int in = 6, out = 6;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* d, Vec<T>* v) {
      const Vec<T> near_even = d[4] - T(2) * d[2], near_odd = T(kHalfSqrt2) * (d[3] - T(2) * d[1]);
      const Vec<T> far_even = d[4] - T(0.5) * d[2], far_odd = T(kSqrt2) * (d[3] - T(0.5) * d[1]);
      v[0] = d[4] - T(2.5) * d[2] + d[0];
      v[1] = near_even + near_odd;
      v[2] = near_even - near_odd;
      v[3] = far_even + far_odd;
      v[4] = far_even - far_odd;
      v[5] = d[5] - T(2.5) * d[3] + d[1];
    }
  };
  // N is 1 at 0, -3/2 at +-sqrt(1/2), 6 at +-sqrt(2).
  struct Weight {
    static constexpr int in = 3, out = 6;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* g, Vec<T>* u) {
      const Vec<T> near_even = T(-2.0 / 3) * g[0] - T(1.0 / 3) * g[2],
                   near_odd = T(-2.0 / 3 * kHalfSqrt2) * g[1];
      const Vec<T> far_even = T(1.0 / 6) * g[0] + T(1.0 / 3) * g[2], far_odd = T(kSqrt2 / 6) * g[1];
      u[0] = g[0];
      u[1] = near_even + near_odd;
      u[2] = near_even - near_odd;
      u[3] = far_even + far_odd;
      u[4] = far_even - far_odd;
      u[5] = g[2];
    }
  };
  struct Gradient {
    static constexpr int in = 4, out = 6;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* g, Vec<T>* u) {
      const Vec<T> near_even = T(-2.0 / 3) * g[0] - T(1.0 / 3) * g[2];
      const Vec<T> near_odd = T(-2.0 / 3 * kHalfSqrt2) * (g[1] + T(0.5) * g[3]);
      const Vec<T> far_even = T(1.0 / 6) * g[0] + T(1.0 / 3) * g[2];
      const Vec<T> far_odd = T(kSqrt2 / 6) * (g[1] + T(2) * g[3]);
      u[0] = g[0];
      u[1] = near_even + near_odd;
      u[2] = near_even - near_odd;
      u[3] = far_even + far_odd;
      u[4] = far_even - far_odd;
      u[5] = g[3];
    }
  };
  struct Output {
    static constexpr int in = 6, out = 4;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* p, Vec<T>* y) {
      const Vec<T> near_even = p[1] + p[2], near_odd = T(kHalfSqrt2) * (p[1] - p[2]);
      const Vec<T> far_even = p[3] + p[4], far_odd = T(kSqrt2) * (p[3] - p[4]);
      y[0] = p[0] + (near_even + far_even);
      y[1] = near_odd + far_odd;
      y[2] = T(0.5) * near_even + T(2) * far_even;
      y[3] = T(0.5) * near_odd + T(2) * far_odd + p[5];
    }
  };
  struct WeightGradient {
    static constexpr int in = 6, out = 3;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* p, Vec<T>* y) {
      const Vec<T> near_even = p[1] + p[2], far_even = p[3] + p[4];
      y[0] = p[0] + (near_even + far_even);
      y[1] = T(kHalfSqrt2) * (p[1] - p[2]) + T(kSqrt2) * (p[3] - p[4]);
      y[2] = T(0.5) * near_even + T(2) * far_even + p[5];
    }
  };
};

// The columns first, then the rows.
template <class T, class Rule, class Load, class Store>
FASTCONV_INLINE void both_dimensions(Load load, Store store) {
  Vec<T> half[Rule::out][Rule::in];
#pragma GCC unroll 6
  for (int j = 0; j < Rule::in; ++j) {
    Vec<T> column[Rule::in], result[Rule::out];
#pragma GCC unroll 6
    for (int i = 0; i < Rule::in; ++i) column[i] = load(i * Rule::in + j);
    Rule::template apply<T>(column, result);
#pragma GCC unroll 6
    for (int i = 0; i < Rule::out; ++i) half[i][j] = result[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < Rule::out; ++i) {
    Vec<T> result[Rule::out];
    Rule::template apply<T>(half[i], result);
#pragma GCC unroll 6
    for (int j = 0; j < Rule::out; ++j) store(i * Rule::out + j, result[j]);
  }
}

template <class T, class Rule>
void transform(const T* const* cells, int64_t channels, T* to, ptrdiff_t stride) {
  constexpr int lanes = kLanes<T>;
  int64_t c = 0;
  for (; c + lanes <= channels; c += lanes)
    both_dimensions<T, Rule>([&](int i) { return load(cells[i] + c); },
                             [&](int q, Vec<T> v) { store(to + q * stride + c, v); });
  if (const int tail = int(channels - c))
    both_dimensions<T, Rule>([&](int i) { return load_partial(cells[i] + c, tail); },
                             [&](int q, Vec<T> v) { store_partial(to + q * stride + c, v, tail); });
}

template <class T, class Rule>
void inverse(const T* from, ptrdiff_t stride, int64_t channels, T* const* cells, const T* bias, bool relu) {
  constexpr int lanes = kLanes<T>;
  for (int64_t c = 0; c < channels; c += lanes) {
    const int count = channels - c < lanes ? int(channels - c) : lanes;
    const Vec<T> add = bias ? load_partial(bias + c, count) : zero<T>();
    const auto finish = [&](int i, Vec<T> v) {
      T* to = cells[i];
      if (!to) return;
      v += add;
      if (relu) v = select<T>(v < zero<T>(), zero<T>(), v);   // keeps NaN
      if (count == lanes)
        store(to + c, v);
      else
        store_partial(to + c, v, count);
    };
    if (count == lanes)
      both_dimensions<T, Rule>([&](int q) { return load(from + q * stride + c); }, finish);
    else
      both_dimensions<T, Rule>([&](int q) { return load_partial(from + q * stride + c, count); }, finish);
  }
}

template <class T, class R>
constexpr WinogradKernels<T> all() {
  return {transform<T, typename R::Input>, transform<T, typename R::Weight>, transform<T, typename R::Gradient>,
          inverse<T, typename R::Output>, inverse<T, typename R::WeightGradient>};
}

}   // namespace

template <class T>
WinogradKernels<T> winograd_kernels(int m) {
  return m == 2 ? all<T, Rules<2>>() : all<T, Rules<4>>();
}
template WinogradKernels<float> winograd_kernels(int);
template WinogradKernels<double> winograd_kernels(int);

}   // namespace fastconv::cpu::FASTCONV_ISA
