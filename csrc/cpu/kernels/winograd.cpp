#include "winograd.hpp"

#include "lanes.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

constexpr double kSqrt2 = 1.41421356237309504880;

// One dimension of the transforms of n-cell tiles. With points a_j and N_j the product of a_j - a_l over the
// other finite points, the row of point a_j
//   of Input holds the coefficients of the product of x - a_l over the other finite points,
//   of Evaluate<k> a_j^i / N_j for i < k; the point at infinity takes the last value,
// and the column of point a_j of Expand<k> holds a_j^i.
template <int n>
struct Rules;

template <>
struct Rules<4> {
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
  template <int k>
  struct Evaluate {
    static constexpr int in = k, out = 4;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* g, Vec<T>* u) {
      Vec<T> even = g[0];
      for (int i = 2; i < k; i += 2) even += g[i];
      u[0] = g[0];
      u[1] = T(0.5) * (even + g[1]);
      u[2] = T(0.5) * (even - g[1]);
      u[3] = g[k - 1];
    }
  };
  template <int k>
  struct Expand {
    static constexpr int in = 4, out = k;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* p, Vec<T>* y) {
      const Vec<T> even = p[1] + p[2], odd = p[1] - p[2];
      for (int i = 0; i < k; ++i) y[i] = i % 2 ? odd : even;
      y[0] += p[0];
      y[k - 1] += p[3];
    }
  };
};

// Near points +-1/2, far points +-5/4; N is 2 a (a^2 - b^2), the rows of negative points have its sign.
template <>
struct Rules<5> {
  static constexpr double kNear = 0.5, kFar = 1.25, kNear2 = kNear * kNear, kFar2 = kFar * kFar;
  static constexpr double power(double point, int i) { return i == 0 ? 1 : point * power(point, i - 1); }
  struct Input {
    static constexpr int in = 5, out = 5;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* d, Vec<T>* v) {
      const Vec<T> near_even = T(kNear) * (d[2] - T(kFar2) * d[0]), near_odd = d[3] - T(kFar2) * d[1];
      const Vec<T> far_even = T(kFar) * (d[2] - T(kNear2) * d[0]), far_odd = d[3] - T(kNear2) * d[1];
      v[0] = near_even + near_odd;
      v[1] = near_even - near_odd;
      v[2] = far_even + far_odd;
      v[3] = far_even - far_odd;
      v[4] = d[4] - T(kNear2 + kFar2) * d[2] + T(kNear2 * kFar2) * d[0];
    }
  };
  template <int k>
  struct Evaluate {
    static constexpr int in = k, out = 5;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* g, Vec<T>* u) {
      constexpr double kOverNear = 0.5 / (kNear * (kNear2 - kFar2)), kOverFar = 0.5 / (kFar * (kFar2 - kNear2));
      Vec<T> near_even = T(kOverNear) * g[0], near_odd = T(kOverNear * kNear) * g[1];
      Vec<T> far_even = T(kOverFar) * g[0], far_odd = T(kOverFar * kFar) * g[1];
#pragma GCC unroll 6
      for (int i = 2; i < k; ++i) {
        (i % 2 ? near_odd : near_even) += T(kOverNear * power(kNear, i)) * g[i];
        (i % 2 ? far_odd : far_even) += T(kOverFar * power(kFar, i)) * g[i];
      }
      u[0] = near_even + near_odd;
      u[1] = near_even - near_odd;
      u[2] = far_even + far_odd;
      u[3] = far_even - far_odd;
      u[4] = g[k - 1];
    }
  };
  template <int k>
  struct Expand {
    static constexpr int in = 5, out = k;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* p, Vec<T>* y) {
      const Vec<T> near_even = p[0] + p[1], near_odd = p[0] - p[1];
      const Vec<T> far_even = p[2] + p[3], far_odd = p[2] - p[3];
#pragma GCC unroll 6
      for (int i = 0; i < k; ++i)
        y[i] = T(power(kNear, i)) * (i % 2 ? near_odd : near_even) +
               T(power(kFar, i)) * (i % 2 ? far_odd : far_even);
      y[k - 1] += p[4];
    }
  };
};

// Near points +-sqrt(1/2), far points +-sqrt(2); N is 1 at 0, -3/2 at the near and 6 at the far ones.
template <>
struct Rules<6> {
  struct Input {
    static constexpr int in = 6, out = 6;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* d, Vec<T>* v) {
      const Vec<T> near_even = d[4] - T(2) * d[2], near_odd = T(kSqrt2 / 2) * (d[3] - T(2) * d[1]);
      const Vec<T> far_even = d[4] - T(0.5) * d[2], far_odd = T(kSqrt2) * (d[3] - T(0.5) * d[1]);
      v[0] = d[4] - T(2.5) * d[2] + d[0];
      v[1] = near_even + near_odd;
      v[2] = near_even - near_odd;
      v[3] = far_even + far_odd;
      v[4] = far_even - far_odd;
      v[5] = d[5] - T(2.5) * d[3] + d[1];
    }
  };
  static constexpr double near(int i) {
    return i < 2 ? 1 : near(i - 2) / 2;
  }   // of the point squared, i / 2 times
  static constexpr double far(int i) { return i < 2 ? 1 : far(i - 2) * 2; }
  template <int k>
  struct Evaluate {
    static constexpr int in = k, out = 6;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* g, Vec<T>* u) {
      Vec<T> near_even = T(-2.0 / 3) * g[0], near_odd = T(-kSqrt2 / 3) * g[1];
      Vec<T> far_even = T(1.0 / 6) * g[0], far_odd = T(kSqrt2 / 6) * g[1];
#pragma GCC unroll 6
      for (int i = 2; i < k; ++i) {
        (i % 2 ? near_odd : near_even) += T((i % 2 ? -kSqrt2 / 3 : -2.0 / 3) * near(i)) * g[i];
        (i % 2 ? far_odd : far_even) += T((i % 2 ? kSqrt2 / 6 : 1.0 / 6) * far(i)) * g[i];
      }
      u[0] = g[0];
      u[1] = near_even + near_odd;
      u[2] = near_even - near_odd;
      u[3] = far_even + far_odd;
      u[4] = far_even - far_odd;
      u[5] = g[k - 1];
    }
  };
  template <int k>
  struct Expand {
    static constexpr int in = 6, out = k;
    template <class T>
    static FASTCONV_INLINE void apply(const Vec<T>* p, Vec<T>* y) {
      const Vec<T> near_even = p[1] + p[2], near_odd = T(kSqrt2 / 2) * (p[1] - p[2]);
      const Vec<T> far_even = p[3] + p[4], far_odd = T(kSqrt2) * (p[3] - p[4]);
#pragma GCC unroll 6
      for (int i = 0; i < k; ++i)
        y[i] = T(near(i)) * (i % 2 ? near_odd : near_even) + T(far(i)) * (i % 2 ? far_odd : far_even);
      y[0] += p[0];
      y[k - 1] += p[5];
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
void transform(const T* const* cells, int64_t channels, T* to, ptrdiff_t stride, ptrdiff_t pitch) {
  constexpr int lanes = kLanes<T>;
  int64_t c = 0;
  for (; c + lanes <= channels; c += lanes, to += pitch)
    both_dimensions<T, Rule>([&](int i) { return load(cells[i] + c); },
                             [&](int q, Vec<T> v) { store(to + q * stride, v); });
  if (const int tail = int(channels - c))
    both_dimensions<T, Rule>([&](int i) { return load_partial(cells[i] + c, tail); },
                             [&](int q, Vec<T> v) { store_partial(to + q * stride, v, tail); });
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
      if (relu) v = positive<T>(v);
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

}   // namespace

template <class T, int m, int r>
WinogradKernels<T> winograd_kernels() {
  using Rule = Rules<m + r - 1>;
  return {transform<T, typename Rule::Input>, transform<T, typename Rule::template Evaluate<r>>,
          transform<T, typename Rule::template Evaluate<m>>, inverse<T, typename Rule::template Expand<m>>,
          inverse<T, typename Rule::template Expand<r>>};
}
template WinogradKernels<float> winograd_kernels<float, 2, 3>();
template WinogradKernels<float> winograd_kernels<float, 4, 3>();
template WinogradKernels<float> winograd_kernels<float, 2, 5>();
template WinogradKernels<float> winograd_kernels<float, 3, 4>();
template WinogradKernels<float> winograd_kernels<float, 4, 2>();
template WinogradKernels<double> winograd_kernels<double, 2, 3>();
template WinogradKernels<double> winograd_kernels<double, 4, 3>();
template WinogradKernels<double> winograd_kernels<double, 2, 5>();
template WinogradKernels<double> winograd_kernels<double, 3, 4>();
template WinogradKernels<double> winograd_kernels<double, 4, 2>();

}   // namespace fastconv::cpu::FASTCONV_ISA
