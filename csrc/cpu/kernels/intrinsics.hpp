// What the instruction sets do in one instruction and the compiler does not find by itself.
#pragma once

#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {

#if defined(__AVX512F__)
FASTCONV_INLINE Vec<float> greater_of(Vec<float> a, Vec<float> b) {
  return (Vec<float>)_mm512_maskz_max_ps(0xffff, (__m512)a, (__m512)b);
}
FASTCONV_INLINE Vec<double> greater_of(Vec<double> a, Vec<double> b) {
  return (Vec<double>)_mm512_maskz_max_pd(0xff, (__m512d)a, (__m512d)b);
}
FASTCONV_INLINE Vec<float> lesser_of(Vec<float> a, Vec<float> b) {
  return (Vec<float>)_mm512_maskz_min_ps(0xffff, (__m512)a, (__m512)b);
}
FASTCONV_INLINE Vec<double> lesser_of(Vec<double> a, Vec<double> b) {
  return (Vec<double>)_mm512_maskz_min_pd(0xff, (__m512d)a, (__m512d)b);
}
FASTCONV_INLINE Vec<float> choose_by_sign(Vec<float> x, Vec<float> negative, Vec<float> other) {
  return (Vec<float>)_mm512_mask_mov_ps((__m512)other, _mm512_movepi32_mask((__m512i)x), (__m512)negative);
}
FASTCONV_INLINE Vec<double> choose_by_sign(Vec<double> x, Vec<double> negative, Vec<double> other) {
  return (Vec<double>)_mm512_mask_mov_pd((__m512d)other, _mm512_movepi64_mask((__m512i)x), (__m512d)negative);
}
#elif defined(__AVX2__)
FASTCONV_INLINE Vec<float> greater_of(Vec<float> a, Vec<float> b) {
  return (Vec<float>)_mm256_max_ps((__m256)a, (__m256)b);
}
FASTCONV_INLINE Vec<double> greater_of(Vec<double> a, Vec<double> b) {
  return (Vec<double>)_mm256_max_pd((__m256d)a, (__m256d)b);
}
FASTCONV_INLINE Vec<float> lesser_of(Vec<float> a, Vec<float> b) {
  return (Vec<float>)_mm256_min_ps((__m256)a, (__m256)b);
}
FASTCONV_INLINE Vec<double> lesser_of(Vec<double> a, Vec<double> b) {
  return (Vec<double>)_mm256_min_pd((__m256d)a, (__m256d)b);
}
FASTCONV_INLINE Vec<float> choose_by_sign(Vec<float> x, Vec<float> negative, Vec<float> other) {
  return (Vec<float>)_mm256_blendv_ps((__m256)other, (__m256)negative, (__m256)x);
}
FASTCONV_INLINE Vec<double> choose_by_sign(Vec<double> x, Vec<double> negative, Vec<double> other) {
  return (Vec<double>)_mm256_blendv_pd((__m256d)other, (__m256d)negative, (__m256d)x);
}
#elif defined(__SSE4_2__)
FASTCONV_INLINE Vec<float> greater_of(Vec<float> a, Vec<float> b) {
  return (Vec<float>)_mm_max_ps((__m128)a, (__m128)b);
}
FASTCONV_INLINE Vec<double> greater_of(Vec<double> a, Vec<double> b) {
  return (Vec<double>)_mm_max_pd((__m128d)a, (__m128d)b);
}
FASTCONV_INLINE Vec<float> lesser_of(Vec<float> a, Vec<float> b) {
  return (Vec<float>)_mm_min_ps((__m128)a, (__m128)b);
}
FASTCONV_INLINE Vec<double> lesser_of(Vec<double> a, Vec<double> b) {
  return (Vec<double>)_mm_min_pd((__m128d)a, (__m128d)b);
}
FASTCONV_INLINE Vec<float> choose_by_sign(Vec<float> x, Vec<float> negative, Vec<float> other) {
  return (Vec<float>)_mm_blendv_ps((__m128)other, (__m128)negative, (__m128)x);
}
FASTCONV_INLINE Vec<double> choose_by_sign(Vec<double> x, Vec<double> negative, Vec<double> other) {
  return (Vec<double>)_mm_blendv_pd((__m128d)other, (__m128d)negative, (__m128d)x);
}
#else
template <class V>
FASTCONV_INLINE V greater_of(V a, V b) {
  return a > b ? a : b;
}
template <class V>
FASTCONV_INLINE V lesser_of(V a, V b) {
  return a < b ? a : b;
}
FASTCONV_INLINE Vec<float> choose_by_sign(Vec<float> x, Vec<float> negative, Vec<float> other) {
  return (Mask<float>)x < 0 ? negative : other;
}
FASTCONV_INLINE Vec<double> choose_by_sign(Vec<double> x, Vec<double> negative, Vec<double> other) {
  return (Mask<double>)x < 0 ? negative : other;
}
#endif

// x, no less or no more than the bound; a NaN stays.
template <class T>
FASTCONV_INLINE Vec<T> at_least(Vec<T> x, T bound) {
  return greater_of(broadcast<T>(bound), x);
}
template <class T>
FASTCONV_INLINE Vec<T> at_most(Vec<T> x, T bound) {
  return lesser_of(broadcast<T>(bound), x);
}
// By the sign bit of x, which zeros and NaN have too.
template <class T>
FASTCONV_INLINE Vec<T> by_sign(Vec<T> x, Vec<T> negative, Vec<T> other) {
  return choose_by_sign(x, negative, other);
}

#if defined(__FMA__)
// a * b - c with one rounding; the compiler's own contraction may round a product that has other uses.
FASTCONV_INLINE Vec<float> product_less(Vec<float> a, Vec<float> b, Vec<float> c) {
#if defined(__AVX512F__)
  return (Vec<float>)_mm512_maskz_fmsub_ps(0xffff, (__m512)a, (__m512)b, (__m512)c);
#else
  return (Vec<float>)_mm256_fmsub_ps((__m256)a, (__m256)b, (__m256)c);
#endif
}
FASTCONV_INLINE Vec<double> product_less(Vec<double> a, Vec<double> b, Vec<double> c) {
#if defined(__AVX512F__)
  return (Vec<double>)_mm512_maskz_fmsub_pd(0xff, (__m512d)a, (__m512d)b, (__m512d)c);
#else
  return (Vec<double>)_mm256_fmsub_pd((__m256d)a, (__m256d)b, (__m256d)c);
#endif
}
#endif

}   // namespace fastconv::cpu::FASTCONV_ISA
