// The vector type of the instruction set that this unit is compiled for. GCC/Clang vector extensions carry the
// arithmetic (+ - * / and comparisons work on Vec<T>); multiply-add contracts to FMA where the target has one.
//
// Units in this folder are compiled once per instruction set into namespace FASTCONV_ISA. They use no inline
// function of the standard library: the linker would keep one copy, perhaps the AVX-512 one, for everybody.
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(__AVX512F__) || defined(__AVX2__) || defined(__SSE4_2__)
#include <immintrin.h>
#endif

#ifndef FASTCONV_ISA
#error "compile kernels through fastconv_add_kernels() in CMakeLists.txt"
#endif

#define FASTCONV_INLINE inline __attribute__((always_inline))
#define FASTCONV_LAMBDA __attribute__((always_inline))   // after a lambda

namespace fastconv::cpu::FASTCONV_ISA {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;   // SSE4.2, NEON and whatever the compiler maps 128 bits to
#endif

template <class T>
struct VecOf;
template <>
struct VecOf<float> {
  typedef float type __attribute__((vector_size(kVectorBytes), aligned(kVectorBytes), may_alias));
  typedef int32_t mask __attribute__((vector_size(kVectorBytes), aligned(kVectorBytes), may_alias));
};
template <>
struct VecOf<double> {
  typedef double type __attribute__((vector_size(kVectorBytes), aligned(kVectorBytes), may_alias));
  typedef int64_t mask __attribute__((vector_size(kVectorBytes), aligned(kVectorBytes), may_alias));
};

template <class T>
using Vec = typename VecOf<T>::type;
template <class T>
using Mask = typename VecOf<T>::mask;   // all ones where true, as comparisons of Vec give it

template <class T>
constexpr int kLanes = kVectorBytes / int(sizeof(T));

template <class T>
FASTCONV_INLINE Vec<T> load(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
// v, in a register: where it is used several times the compiler would load it as often.
template <class V>
FASTCONV_INLINE V held(V v) {
#if defined(__SSE2__)
  asm("" : "+v"(v));
#endif
  return v;
}
template <class T>
FASTCONV_INLINE void store(T* p, Vec<T> v) {
  __builtin_memcpy(p, &v, sizeof v);
}
// A store to memory past the caches, which spares reading the line first; p is aligned. end_stream() comes
// before other threads may read.
template <class T>
FASTCONV_INLINE void stream(T* p, Vec<T> v) {
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(p), (__m512i)v);
#elif defined(__AVX2__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), (__m256i)v);
#elif defined(__SSE4_2__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(p), (__m128i)v);
#else
  store(p, v);
#endif
}
FASTCONV_INLINE void end_stream() {
#if defined(__SSE4_2__)
  _mm_sfence();
#endif
}
template <class T>
FASTCONV_INLINE Vec<T> broadcast(T x) {
  return x - Vec<T>{};   // x + 0 would turn -0 into 0
}
template <class T>
FASTCONV_INLINE Vec<T> zero() {
  return Vec<T>{};
}

template <class T>
FASTCONV_INLINE Vec<T> select(Mask<T> condition, Vec<T> yes, Vec<T> no) {
  return condition ? yes : no;
}
template <class T>
FASTCONV_INLINE Vec<T> positive(Vec<T> v) {
  return select<T>(v < zero<T>(), zero<T>(), v);   // keeps NaN
}

// Round `s` (a power of two) of exchanging blocks between two vectors, seen as two rows of a matrix:
// low takes a's even and b's even blocks of s lanes, high the odd ones.
template <class T, int s>
FASTCONV_INLINE void exchange(Vec<T> a, Vec<T> b, Vec<T>& low, Vec<T>& high) {
  constexpr int lanes = kLanes<T>;
#if defined(__clang__)
  for (int j = 0; j < lanes; ++j) {
    low[j] = (j & s) ? b[j - s] : a[j];
    high[j] = (j & s) ? b[j] : a[j + s];
  }
#else
  Mask<T> even{}, odd{};
  for (int j = 0; j < lanes; ++j) {
    even[j] = (j & s) ? lanes + j - s : j;
    odd[j] = (j & s) ? lanes + j : j + s;
  }
  low = __builtin_shuffle(a, b, even);
  high = __builtin_shuffle(a, b, odd);
#endif
}

// The even lanes of a, then those of b.
template <class T>
FASTCONV_INLINE Vec<T> even_lanes(Vec<T> a, Vec<T> b) {
  constexpr int lanes = kLanes<T>;
#if defined(__clang__)
  Vec<T> v;
  for (int j = 0; j < lanes; ++j) v[j] = 2 * j < lanes ? a[2 * j] : b[2 * j - lanes];
  return v;
#else
  Mask<T> even{};
  for (int j = 0; j < lanes; ++j) even[j] = 2 * j;
  return __builtin_shuffle(a, b, even);
#endif
}

// Elements 0, 2, 4, .. of 2 * kLanes - 1 in an order that reordered() turns into theirs, and theirs into it:
// with AVX2 that takes a second shuffle. `high` starts at element kLanes - 1, so nothing past the last is read.
template <class T>
FASTCONV_INLINE Vec<T> every_second_mixed(Vec<T> low, Vec<T> high) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  if constexpr (kLanes<T> == 4) return __builtin_shufflevector(low, high, 0, 5, 2, 7);
  if constexpr (kLanes<T> == 8) return __builtin_shufflevector(low, high, 0, 2, 9, 11, 4, 6, 13, 15);
#else
  if constexpr (kLanes<T> == 2) return __builtin_shufflevector(low, high, 0, 3);
  if constexpr (kLanes<T> == 4) return __builtin_shufflevector(low, high, 0, 2, 5, 7);
  if constexpr (kLanes<T> == 8) return __builtin_shufflevector(low, high, 0, 2, 4, 6, 9, 11, 13, 15);
  if constexpr (kLanes<T> == 16)
    return __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
#endif
}
template <class T>
FASTCONV_INLINE Vec<T> reordered(Vec<T> v) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  return (Vec<T>)_mm256_permute4x64_epi64((__m256i)v, 0xd8);
#else
  return v;
#endif
}
template <class T>
FASTCONV_INLINE Vec<T> every_second(Vec<T> low, Vec<T> high) {
  return reordered<T>(every_second_mixed<T>(low, high));
}

// Lanes a0 b0 a1 b1 .. of two vectors, in two.
template <class T>
FASTCONV_INLINE void interleave(Vec<T> a, Vec<T> b, Vec<T>& low, Vec<T>& high) {
  constexpr int lanes = kLanes<T>;
#if defined(__clang__)
  for (int i = 0; i < lanes; ++i) {
    low[i] = i % 2 ? b[i / 2] : a[i / 2];
    high[i] = i % 2 ? b[(lanes + i) / 2] : a[(lanes + i) / 2];
  }
#else
  Mask<T> first{}, second{};
  for (int i = 0; i < lanes; ++i) {
    first[i] = i / 2 + (i % 2) * lanes;
    second[i] = lanes / 2 + i / 2 + (i % 2) * lanes;
  }
  low = __builtin_shuffle(a, b, first);
  high = __builtin_shuffle(a, b, second);
#endif
}

// Half `part` of v in double; GCC takes __builtin_convertvector of wide vectors apart.
template <int part>
FASTCONV_INLINE Vec<double> widen(Vec<float> v) {
#if defined(__AVX512F__)
  return (Vec<double>)_mm512_maskz_cvtps_pd(0xff, _mm512_maskz_extractf32x8_ps(0xff, (__m512)v, part));
#elif defined(__AVX2__)
  return (Vec<double>)_mm256_cvtps_pd(_mm256_extractf128_ps((__m256)v, part));
#elif defined(__SSE4_2__)
  return (Vec<double>)_mm_cvtps_pd(part ? _mm_movehl_ps((__m128)v, (__m128)v) : (__m128)v);
#else
  Vec<double> wide{};
  for (int i = 0; i < kLanes<double>; ++i) wide[i] = v[part * kLanes<double> + i];
  return wide;
#endif
}
template <int part>
FASTCONV_INLINE Vec<double> widen(Vec<double> v) {
  return v;
}

// Lane i of the result is the sum of the lanes of v[i], 0 <= i < kLanes, in a fixed pairwise order.
template <class T, int s = 1>
FASTCONV_INLINE Vec<T> sums_of(Vec<T>* v) {
  constexpr int left = kLanes<T> / s;
  if constexpr (left == 1) {
    return v[0];
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < left / 2; ++i) {
      Vec<T> low, high;
      exchange<T, s>(v[2 * i], v[2 * i + 1], low, high);
      v[i] = low + high;
    }
    return sums_of<T, 2 * s>(v);
  }
}

// Sum of the lanes in a fixed pairwise order.
template <class T>
FASTCONV_INLINE T reduce_add(Vec<T> v) {
  T lane[kLanes<T>];
  __builtin_memcpy(lane, &v, sizeof v);
  for (int half = kLanes<T> / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  return lane[0];
}

}   // namespace fastconv::cpu::FASTCONV_ISA
