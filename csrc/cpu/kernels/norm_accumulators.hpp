// The running sums of norm_sums.cpp.
#pragma once

#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// A vector of T is this many vectors of double.
template <class T>
constexpr int kParts = kLanes<T> / kLanes<double>;

// All ones in the first `count` lanes.
template <class T>
FASTCONV_INLINE Mask<T> first_lanes(int count) {
  Mask<T> lane;
  for (int i = 0; i < kLanes<T>; ++i) lane[i] = i;
  return lane < count;
}

template <class T>
FASTCONV_INLINE void add_to(double* total, Vec<T> v) {
  store(total, load(total) + widen<0>(v));
  if constexpr (kParts<T> == 2) store(total + kLanes<double>, load(total + kLanes<double>) + widen<1>(v));
}

// Sums of a and of a * b, lane by lane.
template <class T>
struct WideSums {
  static constexpr int kSteps = 1 << 30;   // between two visits to the totals

  FASTCONV_INLINE void add(Vec<T> a, Vec<T> b) {
    add_part<0>(a, b);
    if constexpr (kParts<T> == 2) add_part<1>(a, b);
  }
  // To totals of kLanes<T> numbers each.
  FASTCONV_INLINE void into(double* total, double* products) const {
    for (int i = 0; i < kParts<T>; ++i, total += kLanes<double>, products += kLanes<double>) {
      store(total, load(total) + sum[i]);
      store(products, load(products) + product[i]);
    }
  }

 private:
  template <int part>
  FASTCONV_INLINE void add_part(Vec<T> a, Vec<T> b) {
    const Vec<double> wide = widen<part>(a);
    sum[part] += wide;
    product[part] += wide * widen<part>(b);
  }

  Vec<double> sum[kParts<T>] = {}, product[kParts<T>] = {};
};

// The same for sums of which nothing is subtracted: a few steps in T, then double.
template <class T>
struct ShortSums {
  static constexpr int kSteps = 16;

  FASTCONV_INLINE void add(Vec<T> a, Vec<T> b) {
    sum += a;
    product += a * b;
  }
  FASTCONV_INLINE void into(double* total, double* products) const {
    add_to<T>(total, sum);
    add_to<T>(products, product);
  }

 private:
  Vec<T> sum{}, product{};
};

}   // namespace
}   // namespace fastconv::cpu::FASTCONV_ISA
