// exp, log, tanh, sigmoid and sqrt of vectors over the whole range: exp and log within 1.1 units in the last
// place, tanh and sigmoid within 2.6; infinities, NaN and denormals as in IEEE arithmetic. Series, not fitted
// polynomials: the coefficients are 1/k! and 2/(2k+1), long enough that the remainder is below half an ulp.
// The normal distribution's tail is a Chebyshev series.
#pragma once

#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {

// The float format, and ln 2 in two parts: the first has so few bits that n * kLn2High is exact.
template <class T>
struct Real;
template <>
struct Real<float> {
  using Bits = uint32_t;
  static constexpr int kMantissa = 23, kBias = 127, kExpTerms = 7, kLogTerms = 5, kLog1pTerms = 8;
  static constexpr float kRound = 0x1.8p23f;   // adding it rounds to an integer in the low mantissa bits
  static constexpr float kLog2e = 0x1.715476p+0f, kLn2High = 0x1.63p-1f, kLn2Low = -0x1.bd0106p-13f;
  static constexpr float kExpMax = 89.0f, kExpMin = -104.0f;   // past these exp is inf, 0
  static constexpr float kMinNormal = 0x1p-126f, kLift = 0x1p25f;
  static constexpr int kLiftBits = 25;
  static constexpr Bits kSqrtHalf = 0x3f3504f3;     // the bits of sqrt(1/2)
  static constexpr Bits kHighHalf = ~Bits(0xfff);   // leaves a number whose square is exact
  static constexpr float kNormalMax = 15.0f;        // past it exp(-t^2 / 2) is 0
  static constexpr float kTail[] = {0x1.82b4bcp-1f,  -0x1.373e3ap-1f,  0x1.8c6dbep-2f,   -0x1.7dff54p-3f,
                                    0x1.eec4f4p-5f,  -0x1.edfde8p-8f,  -0x1.c81fe6p-9f,  0x1.a93544p-10f,
                                    0x1.184a9ep-13f, -0x1.c4174ap-13f, -0x1.d0af12p-20f, 0x1.63643ap-16f};
};
template <>
struct Real<double> {
  using Bits = uint64_t;
  static constexpr int kMantissa = 52, kBias = 1023, kExpTerms = 13, kLogTerms = 11, kLog1pTerms = 17;
  static constexpr double kRound = 0x1.8p52;
  static constexpr double kLog2e = 0x1.71547652b82fep+0, kLn2High = 0x1.62e42feep-1,
                          kLn2Low = 0x1.a39ef35793c76p-33;
  static constexpr double kExpMax = 710.0, kExpMin = -746.0;
  static constexpr double kMinNormal = 0x1p-1022, kLift = 0x1p54;
  static constexpr int kLiftBits = 54;
  static constexpr Bits kSqrtHalf = 0x3fe6a09e667f3bcd;
  static constexpr Bits kHighHalf = ~Bits(0x7ffffff);
  static constexpr double kNormalMax = 39.0;
  static constexpr double kTail[] = {
      0x1.82b4bb8c94dcdp-1,  -0x1.373e3a893c292p-1,  0x1.8c6dbf2cfc388p-2,   -0x1.7dff2bff6785ap-3,
      0x1.eec4cc3e39776p-5,  -0x1.ee276106ecb6bp-8,  -0x1.c81719be71757p-9,  0x1.ab82603e47f07p-10,
      0x1.17a4a08efb4f6p-13, -0x1.e4a441e3d3f08p-13, -0x1.000b3fd28b8a4p-19, 0x1.26d29b3abf3c7p-15,
      0x1.7fa62c0d145c8p-21, -0x1.8d7a8a505f8afp-18, -0x1.4f852d0cd4c1ep-21, 0x1.13adced39cc0fp-20,
      0x1.1c4173fea8cfep-22, -0x1.5c63c86e75642p-23, -0x1.525f7cf095528p-24, 0x1.50340ce1e91e7p-26,
      0x1.14091d7a7c750p-26, -0x1.5f156edc94ca6p-30, -0x1.d02cb8b1aece5p-30};
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

// 2^n exp(r), in two factors: 2^n itself may be below or above the normal range. The bias makes the number
// positive.
template <class T>
FASTCONV_INLINE Vec<T> exp_scaled(Vec<T> r, Unsigned<T> n) {
  const Unsigned<T> half = ((n + 2 * Real<T>::kBias) >> 1) - Real<T>::kBias;
  return (T(1) + expm1_reduced<T>(r)) * power_of_two<T>(half) * power_of_two<T>(n - half);
}

template <class T>
FASTCONV_INLINE Vec<T> exp(Vec<T> x) {
  using R = Real<T>;
  x = select<T>(x > R::kExpMax, broadcast<T>(R::kExpMax), x);   // a NaN compares false and stays
  x = select<T>(x < R::kExpMin, broadcast<T>(R::kExpMin), x);
  Unsigned<T> n;
  const Vec<T> r = reduce_by_ln2<T>(x, &n);
  return exp_scaled<T>(r, n);
}

template <class T>
FASTCONV_INLINE Vec<T> sigmoid(Vec<T> x) {
  const Vec<T> e = exp<T>(-absolute<T>(x));
  return select<T>(x < T(0), e, broadcast<T>(T(1))) / (T(1) + e);
}

// exp(x) - 1 for x <= 0; small arguments stay exact.
template <class T>
FASTCONV_INLINE Vec<T> expm1_negative(Vec<T> x) {
  constexpr T kSaturated = T(-60);   // below it the result is -1
  x = select<T>(x < kSaturated, broadcast<T>(kSaturated), x);
  Unsigned<T> n;
  const Vec<T> r = reduce_by_ln2<T>(x, &n);
  const Vec<T> scale = power_of_two<T>(n);
  return scale * expm1_reduced<T>(r) + (scale - T(1));
}

// tanh |x| = -t / (2 + t) with t = exp(-2|x|) - 1.
template <class T>
FASTCONV_INLINE Vec<T> tanh(Vec<T> x) {
  const Vec<T> t = expm1_negative<T>(absolute<T>(x) * T(-2));
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

// log(1 + x) for 0 <= x <= 1, as 2 artanh(x / (2 + x)).
template <class T>
FASTCONV_INLINE Vec<T> log1p_unit(Vec<T> x) {
  constexpr int kTerms = Real<T>::kLog1pTerms;
  const Vec<T> s = x / (T(2) + x), square = s * s;
  Vec<T> series = broadcast<T>(T(2.0 / (2 * kTerms + 1)));
#pragma GCC unroll 20
  for (int k = kTerms - 1; k >= 1; --k) series = series * square + T(2.0 / (2 * k + 1));
  return x - s * (x - square * series);
}

// The standard normal distribution at t = |x|, up to kNormalMax: with Phi(-t) = bell * mills.
template <class T>
struct Normal {
  Vec<T> t;
  Vec<T> bell;    // exp(-t^2 / 2)
  Vec<T> mills;   // within 2 ulp, however small Phi(-t) is
};

// (t + 4) * mills is a smooth function of u = (t - 4) / (t + 4): kTail is its Chebyshev series in [-1, 1],
// written in powers of u (Shepherd and Laframboise, Math. Comp. 36, 1981, do so for erfc).
template <class T>
FASTCONV_INLINE Normal<T> normal(Vec<T> x) {
  using R = Real<T>;
  constexpr int kTerms = int(sizeof(R::kTail) / sizeof(T));
  Normal<T> d;
  d.t = absolute<T>(x);
  d.t = select<T>(d.t > R::kNormalMax, broadcast<T>(R::kNormalMax), d.t);
  const Vec<T> inverse = T(1) / (d.t + T(4)), u = (d.t - T(4)) * inverse;
  Vec<T> tail = broadcast<T>(R::kTail[kTerms - 1]);
#pragma GCC unroll 24
  for (int k = kTerms - 2; k >= 0; --k) tail = tail * u + R::kTail[k];
  d.mills = tail * inverse;
  // t^2 in two parts: rounded to one, it would move the exponential by t^2 / 2 units in the last place.
  const Vec<T> high = (Vec<T>)((Unsigned<T>)d.t & R::kHighHalf);
  Unsigned<T> n;
  const Vec<T> r = reduce_by_ln2<T>(high * high * T(-0.5), &n);
  d.bell = exp_scaled<T>(r - (d.t - high) * (d.t + high) * T(0.5), n);
  return d;
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
