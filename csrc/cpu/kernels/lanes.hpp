// Partial vectors, and runs whose last one may be.
#pragma once

#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {

// The first `count` lanes, 0 <= count <= kLanes; the others read as zero, and are not touched in memory.
FASTCONV_INLINE Vec<float> load_partial(const float* p, int count) {
#if defined(__AVX512F__)
  return (Vec<float>)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
#elif defined(__AVX2__)
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return (Vec<float>)_mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane));
#else
  Vec<float> v{};
  for (int i = 0; i < count; ++i) v[i] = p[i];
  return v;
#endif
}
FASTCONV_INLINE Vec<double> load_partial(const double* p, int count) {
#if defined(__AVX512F__)
  return (Vec<double>)_mm512_maskz_loadu_pd((__mmask8)((1u << count) - 1), p);
#elif defined(__AVX2__)
  const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
  return (Vec<double>)_mm256_maskload_pd(p, _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), lane));
#else
  Vec<double> v{};
  for (int i = 0; i < count; ++i) v[i] = p[i];
  return v;
#endif
}
#if defined(__SSE4_2__) && !defined(__AVX512F__)
// Of fewer than half a vector of 256 bits. A masked store takes Zen 3 16 cycles.
FASTCONV_INLINE void store_few(float* p, __m128 v, int count) {
  if (count & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), v);
    v = _mm_movehl_ps(v, v);
    p += 2;
  }
  if (count & 1) _mm_store_ss(p, v);
}
FASTCONV_INLINE void store_few(double* p, __m128d v, int count) {
  if (count & 1) _mm_store_sd(p, v);
}
#endif
FASTCONV_INLINE void store_partial(float* p, Vec<float> v, int count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << count) - 1), (__m512)v);
#elif defined(__SSE4_2__)
  if (count == kLanes<float>) return store(p, v);
#if defined(__AVX2__)
  if (count & 4) _mm_storeu_ps(p, _mm256_castps256_ps128((__m256)v));
  const __m128 rest = count & 4 ? _mm256_extractf128_ps((__m256)v, 1) : _mm256_castps256_ps128((__m256)v);
  store_few(p + (count & 4), rest, count);
#else
  store_few(p, (__m128)v, count);
#endif
#else
  for (int i = 0; i < count; ++i) p[i] = v[i];
#endif
}
FASTCONV_INLINE void store_partial(double* p, Vec<double> v, int count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_pd(p, (__mmask8)((1u << count) - 1), (__m512d)v);
#elif defined(__SSE4_2__)
  if (count == kLanes<double>) return store(p, v);
#if defined(__AVX2__)
  if (count & 2) _mm_storeu_pd(p, _mm256_castpd256_pd128((__m256d)v));
  const __m128d rest = count & 2 ? _mm256_extractf128_pd((__m256d)v, 1) : _mm256_castpd256_pd128((__m256d)v);
  store_few(p + (count & 2), rest, count);
#else
  store_few(p, (__m128d)v, count);
#endif
#else
  for (int i = 0; i < count; ++i) p[i] = v[i];
#endif
}

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

// Elements before the first whose vector is aligned, of n at most.
template <class T>
FASTCONV_INLINE int to_aligned(const T* p, int64_t n) {
  const int past = int(reinterpret_cast<uintptr_t>(p) % kVectorBytes / sizeof(T));
  const int count = past ? kLanes<T> - past : 0;
  return count < n ? count : int(n);
}

}   // namespace fastconv::cpu::FASTCONV_ISA
