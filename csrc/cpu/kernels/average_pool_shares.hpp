// A row of gradients from lines of what the windows pass on (average_pool_planes.cpp).
#pragma once

#include "average_pool_lines.hpp"
#include "lanes.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

template <class T>
struct Shares {
  const MeanWindows<T>& w;
  const T* grad;
  // One over the divisors of the windows [first, first + count) of a row, where its other factors are `outer`.
  mutable T share[kLine + kBesides];
  mutable T outer = 0;   // no divisor is 0
  mutable int64_t first = 0, count = 0;

  const int64_t (&results() const)[3] { return w.input; }
  const Span* spans() const { return w.windows[2]; }
  int64_t columns() const { return w.output[2]; }
  // Whether the row before, of the same slice, is held by the same windows.
  FASTCONV_INLINE bool alike(const Place& place) const {
    if (place.inner == 0) return false;
    const Span here = w.windows[1][place.inner], before = w.windows[1][place.inner - 1];
    return here.begin == before.begin && here.end == before.end;
  }

  Piece even(int64_t from, int64_t results) const {
    const int64_t at = from + w.padding, taps = (w.kernel + w.stride - 1) / w.stride;
    return {from, results, at / w.stride - (taps - 1), (at + results - 1) / w.stride + 1};
  }

  // line[c] = the sum over the rows of the windows that hold `place` of what window `from` + c passes on.
  FASTCONV_INLINE void fill(const Place& place, int64_t from, int64_t windows, T* line) const {
    const Span d = w.windows[0][place.outer], h = w.windows[1][place.inner];
    if (d.begin >= d.end || h.begin >= h.end) return clear(line, windows);
    const int64_t width = w.output[2];
    const T* counts = w.counts[1];
    for (int64_t i = d.begin; i < d.end; ++i) {
      const T* row = grad + (((place.plane * w.output[0] + i) * w.output[1] + h.begin) * width + from);
      for (int64_t j = h.begin, rows; j < h.end; j += rows, row += rows * width) {
        for (rows = 1; rows < 3 && j + rows < h.end && counts[j + rows] == counts[j];) ++rows;
        prepare(w.counts[0][i] * counts[j], from, windows);
        const bool begun = i > d.begin || j > h.begin;
        if (rows == 1) add_rows<1>(row, windows, begun, line);
        if (rows == 2) add_rows<2>(row, windows, begun, line);
        if (rows == 3) add_rows<3>(row, windows, begun, line);
      }
    }
  }
  template <int kRows>
  FASTCONV_INLINE void add_rows(const T* row, int64_t windows, bool begun, T* line) const {
    constexpr int n = kLanes<T>;
    const T* last = row + (kRows - 1) * w.output[2];
    const auto sum_at = [&](int64_t c, int lanes) __attribute__((always_inline)) {
      Vec<T> sum = lanes == n ? load(row + c) : load_partial(row + c, lanes);
#pragma GCC unroll 2
      for (int j = 1; j < kRows; ++j) {
        const T* at = row + j * w.output[2] + c;
        sum += lanes == n ? load(at) : load_partial(at, lanes);
      }
      sum *= load(share + c);
      return begun ? load(line + c) + sum : sum;
    };
    int64_t c = 0;
    for (; c + n <= windows; c += n) {
      __builtin_prefetch(last + c + kAhead);
      store(line + c, sum_at(c, n));
    }
    if (c < windows) store(line + c, sum_at(c, int(windows - c)));
  }
  FASTCONV_INLINE void prepare(T of_rows, int64_t from, int64_t windows) const {
    if (of_rows == outer && from == first && windows == count) return;
    outer = of_rows, first = from, count = windows;
    for (int64_t c = 0; c < windows; c += kLanes<T>)
      store(share + c, T(1) / (load(w.counts[2] + from + c) * outer));
  }

  template <int kStride>
  FASTCONV_INLINE void finish_even(const Place&, const Piece& piece, const T* line, T* dx, int64_t room) const {
    finish_even<kStride>(piece, line, dx, room);
  }
  template <int kStride>
  FASTCONV_INLINE void finish_even(const Piece& piece, const T* line, T* dx, int64_t room) const {
    // Cells of residue r begin with window first[r] of the line, and so many hold each.
    const T* first[2];
    int64_t held[2] = {0, 0};
    for (int r = 0; r < kStride; ++r) {
      const int64_t at = piece.first + w.padding + r;
      held[r] = (w.kernel - at % kStride + kStride - 1) / kStride;
      first[r] = line + (at / kStride - piece.begin - held[r] + 1);
    }
    if constexpr (kStride == 1) {
      if (held[0] == 2) return finish_held<2>(piece.count, first[0], held[0], dx, room);
      if (held[0] == 3) return finish_held<3>(piece.count, first[0], held[0], dx, room);
      finish_held<0>(piece.count, first[0], held[0], dx, room);
    } else {
      if (held[0] == 1 && held[1] == 1) return finish_held<1, 1>(piece.count, first, held, dx, room);
      if (held[0] == 2 && held[1] == 1) return finish_held<2, 1>(piece.count, first, held, dx, room);
      if (held[0] == 1 && held[1] == 2) return finish_held<1, 2>(piece.count, first, held, dx, room);
      finish_held<0, 0>(piece.count, first, held, dx, room);
    }
  }
  // kHeld 0: any number of windows.
  template <int kHeld>
  FASTCONV_INLINE static Vec<T> sum_held(const T* from, int64_t held) {
    if (kHeld > 0) held = kHeld;
    Vec<T> sum = kHeld > 0 ? load(from) : zero<T>();
#pragma GCC unroll 2
    for (int64_t k = kHeld > 0; k < held; ++k) sum += load(from + k);
    return sum;
  }
  template <int kHeld>
  FASTCONV_INLINE static void finish_held(int64_t results, const T* from, int64_t held, T* dx, int64_t room) {
    for (int64_t c = 0; c < results; c += kLanes<T>)
      store_up_to(dx + c, sum_held<kHeld>(from + c, held), results - c, room - c);
  }
  template <int kEven, int kOdd>
  FASTCONV_INLINE static void finish_held(int64_t results, const T* const (&first)[2], const int64_t (&held)[2],
                                          T* dx, int64_t room) {
    constexpr int n = kLanes<T>;
    const T *even = first[0], *odd = first[1];
    const int64_t evens = held[0], odds = held[1];
    for (int64_t c = 0; c < results; c += 2 * n, even += n, odd += n) {
      Vec<T> low, high;
      interleave<T>(sum_held<kEven>(even, evens), sum_held<kOdd>(odd, odds), low, high);
      store_up_to(dx + c, low, results - c, room - c);
      if (results - c > n) store_up_to(dx + c + n, high, results - c - n, room - c - n);
    }
  }
  void finish_any(const Place&, const Piece& piece, const T* line, T* dx) const {
    for (int64_t i = 0; i < piece.count; ++i) {
      const Span at = w.windows[2][piece.first + i];
      if (at.end - at.begin == 1) {
        dx[i] = line[at.begin - piece.begin];
        continue;
      }
      T sum = 0;
      for (int64_t k = at.begin; k < at.end; ++k) sum += line[k - piece.begin];
      dx[i] = sum;
    }
  }
  // One cell, that more windows hold than a line does.
  void finish_wide(const Place& place, const Piece& piece, T* line, T* dx) const {
    T total = 0;
    for (int64_t from = piece.begin; from < piece.end; from += kLine) {
      const int64_t windows = least(piece.end - from, kLine);
      fill(place, from, windows, line);
      total += sum_of(line, windows);
    }
    *dx = total;
  }
};

}   // namespace
}   // namespace fastconv::cpu::FASTCONV_ISA
