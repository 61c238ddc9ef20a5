// exp, log, tanh, sigmoid and sqrt of vectors over the whole range: exp and log within 1.1 units in the last
// place, tanh and sigmoid within 2.6; infinities, NaN and denormals as in IEEE arithmetic. Series, not fitted
// polynomials: the coefficients are 1/k! and 2/(2k+1), long enough that the remainder is below half an ulp.
#pragma once

#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {

// The float format, and ln 2 in two parts: the first has so few bits that n * kLn2High is exact.
template <class T>
struct Real;
template <>
struct Real<float> {
  using Bits = uint32_t;
  static constexpr int kMantissa = 23, kBias = 127, kExpTerms = 7, kLogTerms = 5;
  static constexpr float kRound = 0x1.8p23f;   // adding it rounds to an integer in the low mantissa bits
  static constexpr float kLog2e = 0x1.715476p+0f, kLn2High = 0x1.63p-1f, kLn2Low = -0x1.bd0106p-13f;
  static constexpr float kExpMax = 89.0f, kExpMin = -104.0f;   // past these exp is inf, 0
  static constexpr float kMinNormal = 0x1p-126f, kLift = 0x1p25f;
  static constexpr int kLiftBits = 25;
  static constexpr Bits kSqrtHalf = 0x3f3504f3;   // the bits of sqrt(1/2)
};
template <>
struct Real<double> {
  using Bits = uint64_t;
  static constexpr int kMantissa = 52, kBias = 1023, kExpTerms = 13, kLogTerms = 11;
  static constexpr double kRound = 0x1.8p52;
  static constexpr double kLog2e = 0x1.71547652b82fep+0, kLn2High = 0x1.62e42feep-1,
                          kLn2Low = 0x1.a39ef35793c76p-33;
  static constexpr double kExpMax = 710.0, kExpMin = -746.0;
  static constexpr double kMinNormal = 0x1p-1022, kLift = 0x1p54;
  static constexpr int kLiftBits = 54;
  static constexpr Bits kSqrtHalf = 0x3fe6a09e667f3bcd;
};

// Unsigned lanes: shifts are logical (SSE and AVX2 have no arithmetic one of 64 bits) and overflow wraps.
template <class T>
struct UnsignedOf {
  typedef typename Real<T>::Bits type __attribute__((vector_size(kVectorBytes), may_alias));
};
template <class T>
using Unsigned = typename UnsignedOf<T>::type;

constexpr double kInverseFactorial[] = {
    1.0,        1.0,         1.0 / 2,      1.0 / 6,       1.0 / 24,       1.0 / 120,       1.0 / 720,
    1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};

template <class T>
FASTCONV_INLINE Vec<T> absolute(Vec<T> x) {
  const Mask<T> sign = (Mask<T>)broadcast<T>(T(-0.0));
  return (Vec<T>)((Mask<T>)x & ~sign);
}
template <class T>
FASTCONV_INLINE Vec<T> with_sign(Vec<T> magnitude, Vec<T> from) {
  const Mask<T> sign = (Mask<T>)broadcast<T>(T(-0.0));
  return (Vec<T>)(((Mask<T>)magnitude & ~sign) | ((Mask<T>)from & sign));
}

// 2^n for n in the normal range; n in two's complement.
template <class T>
FASTCONV_INLINE Vec<T> power_of_two(Unsigned<T> n) {
  return (Vec<T>)((n + Real<T>::kBias) << Real<T>::kMantissa);
}

// x = n ln 2 + r, |r| <= ln 2 / 2; returns r.
template <class T>
FASTCONV_INLINE Vec<T> reduce_by_ln2(Vec<T> x, Unsigned<T>* n) {
  using R = Real<T>;
  const Vec<T> shifted = x * R::kLog2e + R::kRound;
  const Vec<T> whole = shifted - R::kRound;
  *n = (Unsigned<T>)shifted - (Unsigned<T>)broadcast<T>(R::kRound);
  return (x - whole * R::kLn2High) - whole * R::kLn2Low;
}

// exp(r) - 1 for |r| <= ln 2 / 2.
template <class T>
FASTCONV_INLINE Vec<T> expm1_reduced(Vec<T> r) {
  constexpr int kTerms = Real<T>::kExpTerms;
  Vec<T> sum = broadcast<T>(T(kInverseFactorial[kTerms]));
#pragma GCC unroll 16
  for (int k = kTerms - 1; k >= 2; --k) sum = sum * r + T(kInverseFactorial[k]);
  return r + r * r * sum;
}

template <class T>
FASTCONV_INLINE Vec<T> exp(Vec<T> x) {
  using R = Real<T>;
  x = select<T>(x > R::kExpMax, broadcast<T>(R::kExpMax), x);   // a NaN compares false and stays
  x = select<T>(x < R::kExpMin, broadcast<T>(R::kExpMin), x);
  Unsigned<T> n;
  const Vec<T> r = reduce_by_ln2<T>(x, &n);
  // In two factors: 2^n itself may be below or above the normal range. The bias makes the number positive.
  const Unsigned<T> half = ((n + 2 * R::kBias) >> 1) - R::kBias;
  return (T(1) + expm1_reduced<T>(r)) * power_of_two<T>(half) * power_of_two<T>(n - half);
}

template <class T>
FASTCONV_INLINE Vec<T> sigmoid(Vec<T> x) {
  const Vec<T> e = exp<T>(-absolute<T>(x));
  return select<T>(x < T(0), e, broadcast<T>(T(1))) / (T(1) + e);
}

// tanh |x| = -t / (2 + t) with t = exp(-2|x|) - 1, which keeps small arguments exact.
template <class T>
FASTCONV_INLINE Vec<T> tanh(Vec<T> x) {
  constexpr T kSaturated = T(-60);   // below it exp(.) - 1 is -1
  Vec<T> twice = absolute<T>(x) * T(-2);
  twice = select<T>(twice < kSaturated, broadcast<T>(kSaturated), twice);
  Unsigned<T> n;
  const Vec<T> r = reduce_by_ln2<T>(twice, &n);
  const Vec<T> scale = power_of_two<T>(n);
  const Vec<T> t = scale * expm1_reduced<T>(r) + (scale - T(1));
  return with_sign<T>(-t / (T(2) + t), x);
}

// x = 2^e (1 + f), 1 + f in [sqrt(1/2), sqrt(2)); log(1 + f) = 2 artanh(s) with s = f / (2 + f).
template <class T>
FASTCONV_INLINE Vec<T> log(Vec<T> x) {
  using R = Real<T>;
  const Mask<T> denormal = x < R::kMinNormal;
  const auto bits = (Unsigned<T>)select<T>(denormal, x * R::kLift, x);
  constexpr typename R::Bits kBias = R::kBias + 1;   // keeps the sum below positive
  const Unsigned<T> e = ((bits - R::kSqrtHalf + (kBias << R::kMantissa)) >> R::kMantissa) - kBias;
  const Vec<T> f = (Vec<T>)(bits - (e << R::kMantissa)) - T(1);
  Vec<T> exponent = (Vec<T>)(e + (Unsigned<T>)broadcast<T>(R::kRound)) - R::kRound;
  exponent = select<T>(denormal, exponent - T(R::kLiftBits), exponent);

  const Vec<T> s = f / (T(2) + f), square = s * s;
  Vec<T> series = broadcast<T>(T(2.0 / (2 * R::kLogTerms + 1)));
#pragma GCC unroll 16
  for (int k = R::kLogTerms - 1; k >= 1; --k) series = series * square + T(2.0 / (2 * k + 1));
  Vec<T> y = exponent * R::kLn2High + (f - (s * (f - square * series) - exponent * R::kLn2Low));

  const Vec<T> infinity = broadcast<T>(T(__builtin_inf()));
  y = select<T>(x == infinity, infinity, y);
  y = select<T>(x == T(0), -infinity, y);
  return select<T>(x >= T(0), y, x + broadcast<T>(T(__builtin_nan(""))));   // negative or NaN
}

FASTCONV_INLINE Vec<float> sqrt(Vec<float> x) {
#if defined(__AVX512F__)
  return (Vec<float>)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif defined(__AVX2__)
  return (Vec<float>)_mm256_sqrt_ps((__m256)x);
#else
  for (int i = 0; i < kLanes<float>; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}
FASTCONV_INLINE Vec<double> sqrt(Vec<double> x) {
#if defined(__AVX512F__)
  return (Vec<double>)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);
#elif defined(__AVX2__)
  return (Vec<double>)_mm256_sqrt_pd((__m256d)x);
#else
  for (int i = 0; i < kLanes<double>; ++i) x[i] = __builtin_sqrt(x[i]);
  return x;
#endif
}

}   // namespace fastconv::cpu::FASTCONV_ISA
