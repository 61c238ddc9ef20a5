// exp, log, tanh, sigmoid and sqrt of vectors over the whole range: exp and log within 1.1 units in the last
// place, tanh and sigmoid within 2.6; infinities, NaN and denormals as in IEEE arithmetic. Polynomials are
// minimax fits whose error is well below half an ulp; log's series has the coefficients 2/(2k+1).
#pragma once

#include "intrinsics.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {

// The float format, and ln 2 in two parts: the first has so few bits that n * kLn2High is exact.
template <class T>
struct Real;
template <>
struct Real<float> {
  using Bits = uint32_t;
  static constexpr int kMantissa = 23, kBias = 127, kLogTerms = 5;
  static constexpr float kRound = 0x1.8p23f;   // adding it rounds to an integer in the low mantissa bits
  static constexpr float kLog2e = 0x1.715476p+0f, kLn2High = 0x1.63p-1f, kLn2Low = -0x1.bd0106p-13f;
  static constexpr float kExpMax = 89.0f, kExpMin = -104.0f;   // past these exp is inf, 0
  static constexpr float kMinNormal = 0x1p-126f, kLift = 0x1p25f;
  static constexpr int kLiftBits = 25;
  static constexpr Bits kSqrtHalf = 0x3f3504f3;     // the bits of sqrt(1/2)
  static constexpr Bits kHighHalf = ~Bits(0xfff);   // leaves a number whose square is exact
  static constexpr float kNormalMax = 15.0f;        // past it exp(-t^2 / 2) is 0
  static constexpr float kExp[] = {0x1.fffffcp-2f, 0x1.555492p-3f, 0x1.5558f2p-5f, 0x1.1239e2p-7f,
                                   0x1.6a2432p-10f};
  static constexpr float kLog1p[] = {0x1.555504p-1f, 0x1.99d0e8p-2f, 0x1.1ecc3ap-2f, 0x1.1e97a2p-2f};
  static constexpr float kMillsAbove[] = {0x1.803a5p5f, 0x1.5191dcp5f, 0x1.1abe84p4f, 0x1.f6a53p1f,
                                          0x1.988572p-2f};
  static constexpr float kMillsBelow[] = {0x1.803a5p6f,  0x1.4211d6p7f, 0x1.cf3482p6f,
                                          0x1.6a41b2p5f, 0x1.3b0148p3f, 1};
};
template <>
struct Real<double> {
  using Bits = uint64_t;
  static constexpr int kMantissa = 52, kBias = 1023, kLogTerms = 11;
  static constexpr double kRound = 0x1.8p52;
  static constexpr double kLog2e = 0x1.71547652b82fep+0, kLn2High = 0x1.62e42feep-1,
                          kLn2Low = 0x1.a39ef35793c76p-33;
  static constexpr double kExpMax = 710.0, kExpMin = -746.0;
  static constexpr double kMinNormal = 0x1p-1022, kLift = 0x1p54;
  static constexpr int kLiftBits = 54;
  static constexpr Bits kSqrtHalf = 0x3fe6a09e667f3bcd;
  static constexpr Bits kHighHalf = ~Bits(0x7ffffff);
  static constexpr double kNormalMax = 39.0;
  static constexpr double kExp[] = {0x1.000000000000ap-1,  0x1.55555555554fap-3,  0x1.555555555087bp-5,
                                    0x1.1111111127baap-7,  0x1.6c16c1842adb2p-10, 0x1.a01a012a7329fp-13,
                                    0x1.a0199a09a8c49p-16, 0x1.71df250d189ccp-19, 0x1.28ad7591b2a60p-22,
                                    0x1.ad7fe2678e6d0p-26};
  static constexpr double kLog1p[] = {0x1.555555555553fp-1, 0x1.999999999f129p-2, 0x1.249249211e9c5p-2,
                                      0x1.c71c73dec2f2fp-3, 0x1.745cbb8f93905p-3, 0x1.3b1d497873b96p-3,
                                      0x1.106ea53278cafp-3, 0x1.ef735d274fe16p-4, 0x1.574dacfa6fe48p-4,
                                      0x1.5b10ae006e010p-3};
  static constexpr double kMillsAbove[] = {0x1.b251c32ec463fp+19, 0x1.6797b7006f413p+20, 0x1.272e80e305c20p+20,
                                           0x1.366d22a3a6a71p+19, 0x1.cad8f2d1ae6e3p+17, 0x1.efc85ea619dd7p+15,
                                           0x1.8c0b5e696bae2p+13, 0x1.ce7ed61391b23p+10, 0x1.7b443f1610503p+7,
                                           0x1.8d3a8bcac675dp+3,  0x1.9884533d43cbap-2};
  static constexpr double kMillsBelow[] = {0x1.b251c32ec463fp+20, 0x1.0a6e354eab878p+22, 0x1.31e1b640d8236p+22,
                                           0x1.b2a7c386287a1p+21, 0x1.a9b58b86d35f6p+20, 0x1.2e97991dd6482p+19,
                                           0x1.3f9f0a297f1d3p+17, 0x1.f7c39552fa6ecp+14, 0x1.23c551eb1ee89p+12,
                                           0x1.dc5715c760ceap+8,  0x1.f1da32f2756d3p+4,  1};
};

// Unsigned lanes: shifts are logical (SSE and AVX2 have no arithmetic one of 64 bits) and overflow wraps.
template <class T>
struct UnsignedOf {
  typedef typename Real<T>::Bits type __attribute__((vector_size(kVectorBytes), may_alias));
};
template <class T>
using Unsigned = typename UnsignedOf<T>::type;

template <class T>
FASTCONV_INLINE Vec<T> absolute(Vec<T> x) {
  const Mask<T> sign = (Mask<T>)broadcast<T>(T(-0.0));
  return (Vec<T>)((Mask<T>)x & ~sign);
}
template <class T>
FASTCONV_INLINE Vec<T> minus_absolute(Vec<T> x) {
  return (Vec<T>)((Mask<T>)x | (Mask<T>)broadcast<T>(T(-0.0)));
}
template <class T>
FASTCONV_INLINE Vec<T> with_sign(Vec<T> magnitude, Vec<T> from) {
  const Mask<T> sign = (Mask<T>)broadcast<T>(T(-0.0));
  return (Vec<T>)(((Mask<T>)magnitude & ~sign) | ((Mask<T>)from & sign));
}

// The sum of coefficients[k] x^k.
template <int kCount, class T>
FASTCONV_INLINE Vec<T> polynomial(const T (&coefficients)[kCount], Vec<T> x) {
  Vec<T> sum = broadcast<T>(coefficients[kCount - 1]);
#pragma GCC unroll 16
  for (int k = kCount - 2; k >= 0; --k) sum = sum * x + coefficients[k];
  return sum;
}

// The same from pairs, with half as many steps that wait for each other and round.
template <int kCount, class T>
FASTCONV_INLINE Vec<T> polynomial(const T (&coefficients)[kCount], Vec<T> x, Vec<T> square) {
  constexpr int kLast = (kCount - 1) / 2 * 2;
  Vec<T> sum = broadcast<T>(coefficients[kLast]);
  if constexpr (kLast + 1 < kCount) sum = x * coefficients[kLast + 1] + sum;
#pragma GCC unroll 16
  for (int k = kLast - 2; k >= 0; k -= 2) sum = sum * square + (x * coefficients[k + 1] + coefficients[k]);
  return sum;
}

// x = n ln 2 + r, |r| <= ln 2 / 2; returns r. n + kOffset lies in the low bits of the result's second part.
template <class T, int kOffset>
FASTCONV_INLINE Vec<T> reduce_by_ln2(Vec<T> x, Unsigned<T>* n) {
  using R = Real<T>;
  constexpr T kShift = R::kRound + T(kOffset);
  const Vec<T> shifted = x * R::kLog2e + kShift;
  const Vec<T> whole = shifted - kShift;
  *n = (Unsigned<T>)shifted;
  return (x - whole * R::kLn2High) - whole * R::kLn2Low;
}
// 2^(n - bias): shifts out what kRound left above n.
template <class T>
FASTCONV_INLINE Vec<T> power_of_two(Unsigned<T> n) {
  return (Vec<T>)(n << Real<T>::kMantissa);
}

// exp(r) - 1 for |r| <= ln 2 / 2.
template <class T>
FASTCONV_INLINE Vec<T> expm1_reduced(Vec<T> r) {
  const Vec<T> square = r * r;
  return r + square * polynomial(Real<T>::kExp, r, square);
}

// The two factors of 2^n: itself it may be below or above the normal range.
template <class T>
FASTCONV_INLINE Vec<T> exp(Vec<T> x) {
  using R = Real<T>;
  Unsigned<T> n;
  const Vec<T> r = reduce_by_ln2<T, 2 * R::kBias>(at_least<T>(at_most<T>(x, R::kExpMax), R::kExpMin), &n);
  const Unsigned<T> half = n >> 1;
  return (T(1) + expm1_reduced<T>(r)) * power_of_two<T>(half) * power_of_two<T>(n - half);
}

// Where a result below the normal range is possible and one above it is not: computed 2^kRaised too large.
constexpr int kRaised = 100;
constexpr double kLowered = 0x1p-100;

// For x <= 0, or where the result does not matter.
template <class T>
FASTCONV_INLINE Vec<T> exp_negative(Vec<T> x) {
  using R = Real<T>;
  Unsigned<T> n;
  const Vec<T> r = reduce_by_ln2<T, R::kBias + kRaised>(at_least<T>(x, R::kExpMin), &n);
  return (T(1) + expm1_reduced<T>(r)) * power_of_two<T>(n) * T(kLowered);
}

template <class T>
FASTCONV_INLINE Vec<T> sigmoid(Vec<T> x) {
  const Vec<T> e = exp_negative<T>(minus_absolute<T>(x));
  return by_sign<T>(x, e, broadcast<T>(T(1))) / (T(1) + e);
}

// exp(x) - 1 for x <= 0; small arguments stay exact.
template <class T>
FASTCONV_INLINE Vec<T> expm1_negative(Vec<T> x) {
  constexpr T kSaturated = T(-60);   // below it the result is -1
  Unsigned<T> n;
  const Vec<T> r = reduce_by_ln2<T, Real<T>::kBias>(at_least<T>(x, kSaturated), &n);
  const Vec<T> scale = power_of_two<T>(n);
  return scale * expm1_reduced<T>(r) + (scale - T(1));
}

// tanh |x| = -t / (2 + t) with t = exp(-2|x|) - 1.
template <class T>
FASTCONV_INLINE Vec<T> tanh(Vec<T> x) {
  const Vec<T> minus = minus_absolute<T>(x), t = expm1_negative<T>(minus + minus);
  return with_sign<T>(t / (T(2) + t), x);
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
  const Vec<T> s = x / (T(2) + x), square = s * s;
  return x - s * (x - square * polynomial(Real<T>::kLog1p, square));
}

// x^2 rounded, and what is missing.
template <class T>
FASTCONV_INLINE Vec<T> square(Vec<T> x, Vec<T>* rest) {
#if defined(__FMA__)
  const Vec<T> rounded = x * x;
  *rest = product_less(x, x, rounded);
  return rounded;
#else
  const Vec<T> high = (Vec<T>)((Unsigned<T>)x & Real<T>::kHighHalf);
  *rest = (x - high) * (x + high);
  return high * high;
#endif
}

// kExp for exp(r / 2).
template <class T>
struct HalfExp {
  static constexpr int kCount = int(sizeof(Real<T>::kExp) / sizeof(T));
  T k[kCount];
  constexpr HalfExp() : k{} {
    T scale = T(0.25);
    for (int i = 0; i < kCount; ++i, scale /= 2) k[i] = Real<T>::kExp[i] * scale;
  }
};
template <class T>
constexpr HalfExp<T> kHalfExp;

// y exp(-x^2 / 2) for 0 <= x <= kNormalMax; x^2 rounded to one number would move it by x^2 / 2 ulp.
template <class T>
FASTCONV_INLINE Vec<T> times_bell(Vec<T> y, Vec<T> x) {
  using R = Real<T>;
  constexpr T kShift = R::kRound + T(R::kBias + kRaised);
  Vec<T> rest;
  const Vec<T> v = square<T>(x, &rest);
  const Vec<T> shifted = v * (R::kLog2e * T(-0.5)) + kShift, whole = shifted - kShift;
  const Vec<T> r = (-v - whole * (2 * R::kLn2High)) - (whole * (2 * R::kLn2Low) + rest);   // of -x^2
  const Vec<T> e = r * (T(0.5) + r * polynomial(kHalfExp<T>.k, r));
  return (y + y * e) * power_of_two<T>((Unsigned<T>)shifted) * T(kLowered);
}

// The standard normal distribution's Phi(-t) = times_bell(mills(t), t). Mills' ratio is fitted by a quotient of
// polynomials with positive coefficients.
template <class T>
FASTCONV_INLINE Vec<T> mills(Vec<T> t) {
  using R = Real<T>;
  const Vec<T> square = t * t;
  return polynomial(R::kMillsAbove, t, square) / polynomial(R::kMillsBelow, t, square);
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
