// The sums of a normalisation. A product of two floats is exact in double, so float32 needs no second pass for
// the variance: what is lost is (mean / deviation)^2 of double's last digit.
#include "lanes.hpp"
#include "norm.hpp"
#include "norm_accumulators.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// x - pivot, with itself.
template <class T>
struct Deviation {
  using Sums = WideSums<T>;
  const T* x;
  Vec<T> pivot;

  FASTCONV_INLINE Deviation at(int64_t i) const { return {x + i, pivot}; }
  FASTCONV_INLINE void fetch(int64_t i) const { __builtin_prefetch(x + i); }
  FASTCONV_INLINE void add(int64_t i, Sums& sums) const {
    const Vec<T> v = load(x + i) - pivot;
    sums.add(v, v);
  }
  FASTCONV_INLINE void add_partial(int64_t i, int count, Sums& sums) const {
    const Vec<T> v = load_partial(x + i, count) - (Vec<T>)((Mask<T>)pivot & first_lanes<T>(count));
    sums.add(v, v);
  }
};

// The gradient, behind the ReLU that there was, with x - mean.
template <class T, bool kRelu>
struct Gradient {
  using Sums = ShortSums<T>;
  const T *grad, *x;
  Vec<T> mean, scale, bias;

  FASTCONV_INLINE void add(Vec<T> g, Vec<T> v, Sums& sums) const {
    const Vec<T> centred = v - mean;
    if constexpr (kRelu) g = select<T>(centred * scale + bias <= T(0), zero<T>(), g);
    sums.add(g, centred);
  }
  FASTCONV_INLINE Gradient at(int64_t i) const { return {grad + i, x + i, mean, scale, bias}; }
  FASTCONV_INLINE void fetch(int64_t i) const {
    __builtin_prefetch(grad + i);
    __builtin_prefetch(x + i);
  }
  FASTCONV_INLINE void add(int64_t i, Sums& sums) const { add(load(grad + i), load(x + i), sums); }
  FASTCONV_INLINE void add_partial(int64_t i, int count, Sums& sums) const {
    add(load_partial(grad + i, count), load_partial(x + i, count), sums);
  }
};

// The gradient times a weight, with x - mean.
template <class T>
struct Weighted {
  using Sums = ShortSums<T>;
  const T *grad, *x, *weight;
  Vec<T> mean;

  FASTCONV_INLINE Weighted at(int64_t i) const { return {grad + i, x + i, weight + i, mean}; }
  FASTCONV_INLINE void add(int64_t i, Sums& sums) const {
    sums.add(load(grad + i) * load(weight + i), load(x + i) - mean);
  }
  FASTCONV_INLINE void add_partial(int64_t i, int count, Sums& sums) const {
    sums.add(load_partial(grad + i, count) * load_partial(weight + i, count),
             load_partial(x + i, count) - mean);
  }
};

// A step is kChains vectors, each with sums of its own: an addition takes three to four cycles.
template <class T, class Source>
FASTCONV_INLINE void sum_runs(const Source& source, int64_t runs, int64_t stride, int64_t n, double* sum,
                              double* product) {
  using Sums = typename Source::Sums;
  constexpr int kChains = Sums::kSteps > 1000 ? 2 : 4;
  constexpr int64_t kStep = kLanes<T>;
  double totals[2][kLanes<T>] = {};
  Sums sums[kChains];
  int room = Sums::kSteps;
  const auto flush = [&] {
    for (int k = 0; k < kChains; ++k) {
      sums[k].into(totals[0], totals[1]);
      sums[k] = Sums();
    }
    room = Sums::kSteps;
  };
  for (int64_t run = 0; run < runs; ++run) {
    const Source from = source.at(run * stride);
    int64_t i = 0, steps = n / (kChains * kStep);
    while (steps > 0) {
      const int64_t now = steps < room ? steps : room;
      for (int64_t end = i + now * kChains * kStep; i < end; i += kChains * kStep) {
#pragma GCC unroll 4
        for (int k = 0; k < kChains; ++k) from.add(i + k * kStep, sums[k]);
      }
      steps -= now;
      if ((room -= int(now)) == 0) flush();
    }
#pragma GCC unroll 4
    for (int k = 0; k < kChains - 1; ++k) {
      if (i + kStep > n) break;
      from.add(i, sums[k]);
      i += kStep;
    }
    if (i < n) from.add_partial(i, int(n - i), sums[kChains - 1]);
    if (--room == 0) flush();
  }
  flush();
  *sum += reduce_add<double>(load(totals[0]));
  *product += reduce_add<double>(load(totals[1]));
  if constexpr (kParts<T> == 2) {
    *sum += reduce_add<double>(load(totals[0] + kLanes<double>));
    *product += reduce_add<double>(load(totals[1] + kLanes<double>));
  }
}

// Neighbouring vectors of channels: as many as the registers hold sums of.
template <class T>
constexpr int kBlock = (kVectorBytes == 64 ? 8 : 4) / kParts<T>;

template <class T, int kVectors, class Make>
FASTCONV_INLINE void sum_block(const Make& make, int64_t rows, int64_t channels, int64_t c, double* sum,
                               double* product) {
  using Source = decltype(make(c, kLanes<T>));
  using Sums = typename Source::Sums;
  Source from[kVectors] = {};
  for (int v = 0; v < kVectors; ++v) from[v] = make(c + v * kLanes<T>, kLanes<T>);
  for (int64_t row = 0; row < rows;) {
    Sums sums[kVectors];
    for (const int64_t end = rows - row < Sums::kSteps ? rows : row + Sums::kSteps; row < end; ++row)
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) from[v].add(row * channels, sums[v]);
    for (int v = 0; v < kVectors; ++v) sums[v].into(sum + c + v * kLanes<T>, product + c + v * kLanes<T>);
  }
}

template <class T, class Source>
void sum_tail(const Source& from, int64_t rows, int64_t channels, int count, double* sum, double* product) {
  using Sums = typename Source::Sums;
  double totals[2][kLanes<T>] = {};
  for (int64_t row = 0; row < rows;) {
    Sums sums;
    for (const int64_t end = rows - row < Sums::kSteps ? rows : row + Sums::kSteps; row < end; ++row)
      from.add_partial(row * channels, count, sums);
    sums.into(totals[0], totals[1]);
  }
  for (int i = 0; i < kLanes<T>; ++i)
    if (i < count) sum[i] += totals[0][i], product[i] += totals[1][i];
}

// make(c, count): what is summed for `count` channels from c on. Where a row is more than one block, four rows
// at a time, more lie too far apart; the next four are fetched meanwhile, in the order that they lie in.
template <class T, class Make>
FASTCONV_INLINE void sum_rows(const Make& make, int64_t rows, int64_t channels, double* sum, double* product) {
  constexpr int64_t kLane = kLanes<T>;
  const int64_t tile = channels > kBlock<T> * kLane ? 4 : rows;
  for (int64_t row = 0; row < rows; row += tile) {
    const int64_t count = rows - row < tile ? rows - row : tile;
    const auto here = [&](int64_t c, int lanes) { return make(c, lanes).at(row * channels); };
    constexpr int64_t kTogether = kBlock<T> * kLane, kLine = 64 / int64_t(sizeof(T));
    int64_t c = 0;
    for (; c + kTogether <= channels; c += kTogether) {
      if (count < rows) {
        const auto next = make(0, kLane);
        for (int64_t i = 0; i < kTogether * tile; i += kLine)
          next.fetch((row + tile) * channels + c * tile + i);
      }
      sum_block<T, kBlock<T>>(here, count, channels, c, sum, product);
    }
    for (; c + kLane <= channels; c += kLane) sum_block<T, 1>(here, count, channels, c, sum, product);
    const int rest = int(channels - c);
    if (rest > 0) sum_tail<T>(here(c, rest), count, channels, rest, sum + c, product + c);
  }
}

template <class T>
void moments(const T* x, int64_t runs, int64_t stride, int64_t n, const T* pivot, double* sum, double* square) {
  sum_runs<T>(Deviation<T>{x, broadcast(*pivot)}, runs, stride, n, sum, square);
}

template <class T>
void moments_rows(const T* x, int64_t rows, int64_t channels, const T* pivot, double* sum, double* square) {
  const auto make = [=](int64_t c, int count) { return Deviation<T>{x + c, take(pivot + c, count)}; };
  sum_rows<T>(make, rows, channels, sum, square);
}

template <class T, bool kRelu>
void grad_runs(const T* grad, const T* x, int64_t runs, int64_t stride, int64_t n, const NormTerms<T>& t,
               double* sum, double* product) {
  const Gradient<T, kRelu> from{grad, x, broadcast(*t.mean), broadcast(*t.scale), broadcast(*t.bias)};
  sum_runs<T>(from, runs, stride, n, sum, product);
}

template <class T>
void grad_moments(const T* grad, const T* x, int64_t runs, int64_t stride, int64_t n, const NormTerms<T>& t,
                  double* sum, double* product) {
  t.relu ? grad_runs<T, true>(grad, x, runs, stride, n, t, sum, product)
         : grad_runs<T, false>(grad, x, runs, stride, n, t, sum, product);
}

template <class T, bool kRelu>
void grad_rows(const T* grad, const T* x, int64_t rows, int64_t channels, const NormTerms<T>& t, double* sum,
               double* product) {
  const auto make = [=](int64_t c, int count) {
    return Gradient<T, kRelu>{grad + c, x + c, take(t.mean + c, count), take(t.scale + c, count),
                              take(t.bias + c, count)};
  };
  sum_rows<T>(make, rows, channels, sum, product);
}

template <class T>
void grad_moments_rows(const T* grad, const T* x, int64_t rows, int64_t channels, const NormTerms<T>& t,
                       double* sum, double* product) {
  t.relu ? grad_rows<T, true>(grad, x, rows, channels, t, sum, product)
         : grad_rows<T, false>(grad, x, rows, channels, t, sum, product);
}

template <class T>
void weighted_moments(const T* grad, const T* x, int64_t n, const T* weight, T mean, double* sum,
                      double* product) {
  sum_runs<T>(Weighted<T>{grad, x, weight, broadcast(mean)}, 1, 0, n, sum, product);
}

// kVectors neighbouring vectors of columns, the last one of `count` lanes.
template <int kVectors, class T>
FASTCONV_INLINE void sum_columns(const T* grad, const T* x, int64_t rows, int64_t stride, const T* mean,
                                 const T* invstd, int64_t step, int count, double* sum, double* product) {
  constexpr int kLane = kLanes<T>;
  for (int64_t row = 0; row < rows;) {
    ShortSums<T> sums[kVectors];
    const int64_t end = rows - row < ShortSums<T>::kSteps ? rows : row + ShortSums<T>::kSteps;
    for (; row < end; ++row) {
      const Vec<T> m = broadcast(mean[row * step]), s = broadcast(invstd[row * step]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        const T *g = grad + row * stride + v * kLane, *value = x + row * stride + v * kLane;
        if (kVectors > 1 || count == kLane) {
          sums[v].add(load(g), (load(value) - m) * s);
        } else {
          sums[v].add(load_partial(g, count), (load_partial(value, count) - m) * s);
        }
      }
    }
    for (int v = 0; v < kVectors; ++v) {
      if (kVectors > 1 || count == kLane) {
        sums[v].into(sum + v * kLane, product + v * kLane);
      } else {
        double totals[2][kLane] = {};
        sums[v].into(totals[0], totals[1]);
        for (int i = 0; i < count; ++i) sum[i] += totals[0][i], product[i] += totals[1][i];
      }
    }
  }
}

template <class T>
void column_moments(const T* grad, const T* x, int64_t rows, int64_t stride, int64_t n, const T* mean,
                    const T* invstd, int64_t step, double* sum, double* product) {
  constexpr int kVectors = 4, kLane = kLanes<T>;
  int64_t i = 0;
  for (; i + kVectors * kLane <= n; i += kVectors * kLane)
    sum_columns<kVectors>(grad + i, x + i, rows, stride, mean, invstd, step, kLane, sum + i, product + i);
  for (; i < n; i += kLane) {
    const int count = n - i < kLane ? int(n - i) : kLane;
    sum_columns<1>(grad + i, x + i, rows, stride, mean, invstd, step, count, sum + i, product + i);
  }
}

}   // namespace

template <class T>
NormSums<T> norm_sums() {
  return {moments<T>,           moments_rows<T>,     grad_moments<T>,
          grad_moments_rows<T>, weighted_moments<T>, column_moments<T>};
}

template NormSums<float> norm_sums<float>();
template NormSums<double> norm_sums<double>();

}   // namespace fastconv::cpu::FASTCONV_ISA
