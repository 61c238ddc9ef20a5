// A vector of columns of a plane, as the taps of a row see them: any stride, masked where the plane ends.
#pragma once

#include "depthwise.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// Lanes [begin, end) of a vector; no other is touched in memory.
struct LaneRange {
  int begin, end;
};

FASTCONV_INLINE int clamp_lane(int64_t i, int end) { return i < 0 ? 0 : i > end ? end : int(i); }

template <class T>
struct LaneMask {
#if defined(__AVX512F__)
  uint32_t bits;
#elif defined(__AVX2__)
  Mask<T> bits;
#else
  LaneRange range;
#endif
  LaneMask() = default;
  FASTCONV_INLINE explicit LaneMask(LaneRange r)
#if defined(__AVX512F__)
      : bits(((1u << r.end) - 1) & ~((1u << r.begin) - 1))
#elif defined(__AVX2__)
      : bits(between(r))
#else
      : range(r)
#endif
  {
  }
  FASTCONV_INLINE Vec<T> load_from(const T* p) const;
#if defined(__AVX2__) && !defined(__AVX512F__)

 private:
  static FASTCONV_INLINE Mask<T> between(LaneRange r) {
    Mask<T> lane{}, from = lane + r.begin, to = lane + r.end;
    for (int i = 0; i < kLanes<T>; ++i) lane[i] = i;
    return (lane >= from) & (lane < to);
  }
#endif
};

#if defined(__AVX512F__)
template <>
FASTCONV_INLINE Vec<float> LaneMask<float>::load_from(const float* p) const {
  return (Vec<float>)_mm512_maskz_loadu_ps((__mmask16)bits, p);
}
template <>
FASTCONV_INLINE Vec<double> LaneMask<double>::load_from(const double* p) const {
  return (Vec<double>)_mm512_maskz_loadu_pd((__mmask8)bits, p);
}
#elif defined(__AVX2__)
template <>
FASTCONV_INLINE Vec<float> LaneMask<float>::load_from(const float* p) const {
  return (Vec<float>)_mm256_maskload_ps(p, (__m256i)bits);
}
template <>
FASTCONV_INLINE Vec<double> LaneMask<double>::load_from(const double* p) const {
  return (Vec<double>)_mm256_maskload_pd(p, (__m256i)bits);
}
#else
template <class T>
FASTCONV_INLINE Vec<T> LaneMask<T>::load_from(const T* p) const {
  if (range.begin == 0 && range.end == kLanes<T>) return load(p);
  Vec<T> v = zero<T>();
  for (int i = range.begin; i < range.end; ++i) v[i] = p[i];
  return v;
}
#endif

// Even and odd elements of 2 * kLanes from low on, in the order of every_second_mixed; high starts kLanes
// after.
template <class T>
FASTCONV_INLINE Vec<T> even_mixed(Vec<T> low, Vec<T> high) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  if constexpr (kLanes<T> == 4) return __builtin_shufflevector(low, high, 0, 4, 2, 6);
  if constexpr (kLanes<T> == 8) return __builtin_shufflevector(low, high, 0, 2, 8, 10, 4, 6, 12, 14);
#else
  return even_lanes<T>(low, high);
#endif
}
template <class T>
FASTCONV_INLINE Vec<T> odd_mixed(Vec<T> low, Vec<T> high) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  if constexpr (kLanes<T> == 4) return __builtin_shufflevector(low, high, 1, 5, 3, 7);
  if constexpr (kLanes<T> == 8) return __builtin_shufflevector(low, high, 1, 3, 9, 11, 5, 7, 13, 15);
#else
  if constexpr (kLanes<T> == 2) return __builtin_shufflevector(low, high, 1, 3);
  if constexpr (kLanes<T> == 4) return __builtin_shufflevector(low, high, 1, 3, 5, 7);
  if constexpr (kLanes<T> == 8) return __builtin_shufflevector(low, high, 1, 3, 5, 7, 9, 11, 13, 15);
  if constexpr (kLanes<T> == 16)
    return __builtin_shufflevector(low, high, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#endif
}

// The columns of a row that positions [q, q + count) of axis w read through tap s; zeros where there are none.
// Of stride 2 they come in the order of every_second_mixed. kStride: of the columns, 0 for any.
template <class T, int kStride>
struct Columns {
  const T* plane;
  int64_t pitch, stride;
  LaneRange range;
  LaneMask<T> low, high;
  bool whole;   // no lane is masked: a masked load takes Zen 3 as long as two

  static FASTCONV_INLINE LaneRange inside(const TapAxis& w, int64_t x0, int count) {
    const int64_t stride = kStride ? kStride : w.stride;
    const int64_t first = x0 < 0 ? (-x0 + stride - 1) / stride : 0;
    const int64_t last = w.in > x0 ? (w.in - x0 - 1) / stride + 1 : 0;
    const int end = clamp_lane(last, count);
    return {clamp_lane(first, end), end};
  }
  // The elements of every second lane, seen from element `offset` on.
  static FASTCONV_INLINE LaneRange halves(LaneRange r, int offset) {
    constexpr int n = kLanes<T>;
    if (r.begin >= r.end) return {0, 0};
    const int end = clamp_lane(2 * r.end - 1 - offset, n);
    return {clamp_lane(2 * r.begin - offset, end), end};
  }
  FASTCONV_INLINE Columns(const TapAxis& w, const T* from, int64_t q, int64_t s, int count)
      : Columns(w, from, q * w.stride + w.first + s * w.step, count) {}
  // Row y0 + i. kWhole: as `whole` says.
  template <bool kWhole>
  FASTCONV_INLINE Vec<T> row(int64_t y0, int64_t i) const {
    const T* p = plane + y0 * pitch + i * pitch;
    constexpr int n = kLanes<T>;
    if constexpr (kWhole && kStride == 1) return load(p);
    if constexpr (kWhole && kStride == 2) return every_second_mixed<T>(load(p), load(p + n - 1));
    if constexpr (kStride == 1) return low.load_from(p);
    if constexpr (kStride == 2) return every_second_mixed<T>(low.load_from(p), high.load_from(p + n - 1));
    Vec<T> v = zero<T>();
    for (int i = 0; i < n; ++i)
      if (i >= range.begin && i < range.end) v[i] = p[i * stride];
    return v;
  }

  // Calls body with the rows as a function of (y0, i).
  template <class Body>
  FASTCONV_INLINE void rows(Body body) const {
    if (kStride > 0 && whole)
      body([this](int64_t y0, int64_t i, int) FASTCONV_LAMBDA { return row<(kStride > 0)>(y0, i); });
    else
      body([this](int64_t y0, int64_t i, int) FASTCONV_LAMBDA { return row<false>(y0, i); });
  }

 private:
  FASTCONV_INLINE Columns(const TapAxis& w, const T* from, int64_t x0, int count)
      : plane(from + x0),
        pitch(w.in),
        stride(w.stride),
        range(inside(w, x0, count)),
        low(kStride == 1 ? range : halves(range, 0)),
        high(halves(range, kLanes<T> - 1)),
        whole(kStride > 0 && range.begin == 0 && range.end == kLanes<T>) {}
};

}   // namespace
}   // namespace fastconv::cpu::FASTCONV_ISA
