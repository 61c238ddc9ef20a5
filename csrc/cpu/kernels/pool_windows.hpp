// What max pooling is made of in either layout: clipped windows, and vectors of running maxima with positions.
#pragma once

#include "pool.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {

// Taps [begin, end) of one dimension that fall inside the input, and where tap 0 lies.
struct Taps {
  int64_t origin, begin, end;
};
__attribute__((noinline, cold)) inline Taps adaptive_taps(int64_t extent, int64_t outputs, int64_t output) {
  const int64_t begin = output * extent / outputs;
  return {begin, 0, ((output + 1) * extent + outputs - 1) / outputs - begin};
}
FASTCONV_INLINE Taps taps(const PoolWindows& w, int dim, int64_t output) {
  const int64_t step = w.dilation[dim], extent = w.input[dim], kernel = w.kernel[dim];
  if (__builtin_expect(w.stride[dim] == 0, 0)) return adaptive_taps(extent, w.output[dim], output);
  const int64_t origin = output * w.stride[dim] - w.padding[dim];
  const int64_t begin = origin < 0 ? (-origin + step - 1) / step : 0;
  if (origin + (kernel - 1) * step < extent) return {origin, begin, kernel};
  return {origin, begin, extent > origin ? (extent - origin + step - 1) / step : 0};
}
FASTCONV_INLINE bool empty(const Taps& t) { return t.begin >= t.end; }

// Where tap (0, 0, 0) would lie in the plane; may be negative.
FASTCONV_INLINE int64_t origin_of(const PoolWindows& w, const Taps& d, const Taps& h, int64_t column) {
  return (d.origin * w.input[1] + h.origin) * w.input[2] + column;
}

// One window by itself: where it is clipped along the row, and for planes past 32-bit offsets.
// `step` elements lie between neighbours of a row.
template <class T>
__attribute__((noinline)) inline void window(const PoolWindows& w, const T* plane, int64_t step, const Taps& d,
                                             const Taps& h, const Taps& v, T* y, int64_t* index) {
  T best = -T(__builtin_inf());
  int64_t at = -1;
  for (int64_t i = d.begin; i < d.end; ++i)
    for (int64_t j = h.begin; j < h.end; ++j)
      for (int64_t k = v.begin; k < v.end; ++k) {
        const int64_t position = origin_of(w, d, h, v.origin) +
                                 (i * w.dilation[0] * w.input[1] + j * w.dilation[1]) * w.input[2] +
                                 k * w.dilation[2];
        const T value = plane[position * step];
        if (at < 0 || value > best || value != value) best = value, at = position;
      }
  *y = best;
  if (index) *index = at;
}

template <class T>
struct OffsetOf {
  using type = int64_t;
};
template <>
struct OffsetOf<float> {
  using type = int32_t;
};

template <class T>
FASTCONV_INLINE Mask<T> broadcast_offset(int64_t at) {
  return Mask<T>{} + typename OffsetOf<T>::type(at);
}

template <class T>
bool offsets_fit(const PoolWindows& w) {
  const double row = double(w.input[2]), plane = double(w.input[1]) * row;
  const double span = double(w.kernel[0] - 1) * double(w.dilation[0]) * plane +
                      double(w.kernel[1] - 1) * double(w.dilation[1]) * row +
                      double(w.kernel[2] - 1) * double(w.dilation[2]) + double(kLanes<T>) * double(w.stride[2]);
  return sizeof(T) == 8 || span < 2147483647.0;
}

// A window's winner so far. Later elements win by being greater or NaN, so parts of a window that follow each
// other can be reduced on their own and merged.
template <class T, bool kIndices>
struct Best {
  Vec<T> value;
  Mask<T> offset;

  FASTCONV_INLINE void start(Vec<T> v, int64_t at) {
    value = v;
    offset = broadcast_offset<T>(at);
  }
  FASTCONV_INLINE void merge(const Best& later) {
    const Mask<T> wins = (later.value > value) | (later.value != later.value);
    value = select<T>(wins, later.value, value);
    if (kIndices) offset = wins ? later.offset : offset;
  }
  FASTCONV_INLINE void take(Vec<T> v, int64_t at) { merge({v, broadcast_offset<T>(at)}); }
};

typedef int64_t Wide __attribute__((vector_size(kVectorBytes), may_alias));
typedef int32_t Narrow __attribute__((vector_size(kVectorBytes / 2), may_alias));   // as many lanes as Wide
constexpr int kWideLanes = kVectorBytes / 8;

template <bool kStream>
FASTCONV_INLINE void store_wide(int64_t* p, Wide v, int count) {
  if (kStream) return stream(reinterpret_cast<double*>(p), (Vec<double>)v);
  if (count >= kWideLanes) {
    __builtin_memcpy(p, &v, sizeof v);
    return;
  }
#if defined(__AVX512F__)
  _mm512_mask_storeu_epi64(p, (__mmask8)((1u << count) - 1), (__m512i)v);
#elif defined(__AVX2__)
  const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
  _mm256_maskstore_epi64((long long*)p, _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), lane), (__m256i)v);
#else
  for (int i = 0; i < count; ++i) p[i] = v[i];
#endif
}
FASTCONV_INLINE Wide widen(Narrow v) {
#if defined(__AVX512F__)
  return (Wide)_mm512_maskz_cvtepi32_epi64(0xff, (__m256i)v);
#elif defined(__AVX2__)
  return (Wide)_mm256_cvtepi32_epi64((__m128i)v);
#else
  return __builtin_convertvector(v, Wide);
#endif
}
template <bool kStream = false>
FASTCONV_INLINE void store_indices(int64_t* p, Mask<float> offsets, int64_t base, int count) {
  Narrow half[2];
  __builtin_memcpy(half, &offsets, sizeof offsets);
  store_wide<kStream>(p, widen(half[0]) + base, count);
  if (count > kWideLanes) store_wide<kStream>(p + kWideLanes, widen(half[1]) + base, count - kWideLanes);
}
template <bool kStream = false>
FASTCONV_INLINE void store_indices(int64_t* p, Mask<double> offsets, int64_t base, int count) {
  store_wide<kStream>(p, (Wide)offsets + base, count);
}

// Calls body(image, d taps, h taps) for the output rows [begin, end), counted through all images.
template <class Body>
FASTCONV_INLINE void for_rows(const PoolWindows& w, int64_t begin, int64_t end, Body body) {
  const int64_t rows = w.output[0] * w.output[1];
  int64_t image = begin / rows, outer = begin % rows / w.output[1], inner = begin % w.output[1];
  for (int64_t row = begin; row < end; ++row) {
    body(image, taps(w, 0, outer), taps(w, 1, inner));
    if (++inner < w.output[1]) continue;
    inner = 0;
    if (++outer < w.output[0]) continue;
    outer = 0;
    ++image;
  }
}

}   // namespace fastconv::cpu::FASTCONV_ISA
