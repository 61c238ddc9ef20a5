// Square kernels over planes: a vector of columns walks down the rows. Each row is loaded once and goes into
// all outputs that it reaches, which wait in registers; of 3x3 kernels the weights stay there too.
#pragma once

#include "depthwise_columns.hpp"
#include "depthwise_tile.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// Rows that a walk goes down at a time, so that what it reads and writes stays in L1 for the next columns.
template <class T>
FASTCONV_INLINE int64_t walk_rows(int64_t row_elements) {
  constexpr int64_t kBytes = 16 << 10, kLeast = 8;
  const int64_t rows = kBytes / (row_elements * int64_t(sizeof(T)));
  return rows < kLeast ? kLeast : rows;
}
// How far ahead lines are fetched: the rows below those of a walk, and the next planes where they are small.
template <class T>
FASTCONV_INLINE int64_t fetch_distance(int64_t elements) {
  constexpr int64_t kLeast = 4096 / int64_t(sizeof(T));
  return elements < kLeast ? kLeast : elements;
}

// The same of results, 0 for none: of small planes they come as fast without.
template <class T>
FASTCONV_INLINE int64_t store_distance(int64_t rows, int64_t band, int64_t row_elements) {
  return rows > band ? fetch_distance<T>(band * row_elements) : 0;
}

// Positions [q, q + count) of a row, as kTaps taps of step 1 see them.
template <class T, int kTaps, int kStride>
struct Strip {
  int64_t q;
  int count;
  bool whole;   // no lane is masked
  LaneMask<T> low[kTaps], high[kTaps];

  FASTCONV_INLINE void move(const TapAxis& w, int64_t first) {
    constexpr int lanes = kLanes<T>;
    q = first;
    count = w.out - q < lanes ? int(w.out - q) : lanes;
    const int64_t x0 = q * kStride + w.first;
    whole = count == lanes && x0 >= 0 && x0 + (lanes - 1) * kStride + kTaps <= w.in;
    if (!whole) mask(w);
  }
  // Calls body(s, vector of tap s) for a row; p is where the first tap of position q lies. Of stride 2 the
  // lanes are in the order of every_second_mixed.
  template <bool kMasked, class Body>
  FASTCONV_INLINE void taps(const T* p, Body body) const {
    constexpr int n = kLanes<T>;
#pragma GCC unroll 8
    for (int s = 0; s < kTaps; ++s) {
      const T* at = p + s;
      if constexpr (kStride == 1) {
        body(s, held(kMasked ? low[s].load_from(at) : load(at)));
      } else if (kMasked) {
        body(s, every_second_mixed<T>(low[s].load_from(at), high[s].load_from(at + n - 1)));
      } else if (s + 1 < kTaps) {
        const Vec<T> a = held(load(at)), b = held(load(at + n));
        body(s, even_mixed<T>(a, b));
        body(s + 1, odd_mixed<T>(a, b));
        ++s;
      } else {
        body(s, every_second_mixed<T>(load(at), load(at + n - 1)));
      }
    }
  }

 private:
  __attribute__((noinline)) void mask(const TapAxis& w) {
#pragma GCC unroll 1
    for (int s = 0; s < kTaps; ++s) {
      using Taps = Columns<T, kStride>;
      const LaneRange range = Taps::inside(w, q * kStride + w.first + s, count);
      low[s] = LaneMask<T>(kStride == 1 ? range : Taps::halves(range, 0));
      high[s] = LaneMask<T>(Taps::halves(range, kLanes<T> - 1));
    }
  }
};

// Calls body(strip) for the strips of a row, the last one with as many lanes as the others where `overlap`.
template <class T, int kTaps, int kStride>
struct Strips {
  const TapAxis& w;
  int64_t last;
  Strip<T, kTaps, kStride> left, inner, right;

  FASTCONV_INLINE Strips(const TapAxis& axis, bool overlap) : w(axis), last(last_of(axis, overlap)) {
    left.move(w, 0);
    if (last > 0) right.move(w, last);
  }
  template <class Body>
  FASTCONV_INLINE void each(Body body) {
    for (int64_t q = 0;; q += kLanes<T>) {
      if (q > 0 && q < last) inner.move(w, q);
      body(q == 0 ? left : q < last ? inner : right);
      if (q >= last) return;
    }
  }

 private:
  static FASTCONV_INLINE int64_t last_of(const TapAxis& axis, bool overlap) {
    constexpr int lanes = kLanes<T>;
    if (axis.out <= lanes) return 0;
    return overlap ? axis.out - lanes : (axis.out - 1) / lanes * lanes;
  }
};

}   // namespace
}   // namespace fastconv::cpu::FASTCONV_ISA
