// Channels last and 3x3 kernels: walks over the pixels of a row. A pixel's vector is loaded once for all
// outputs of the row that it reaches, which wait in registers.
#pragma once

#include "depthwise.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {

// Whether the walks know the kernel; then they have computed what depthwise.hpp says.
template <class T>
bool lane_walk(const LaneForward<T>&, int64_t begin, int64_t end);
template <class T>
bool lane_walk_gradient(const LaneGradient<T>&, int64_t begin, int64_t end);
template <class T>
bool lane_quad(const LaneForward<T>* parts, int64_t begin, int64_t end);

// The tap rows of position p that lie inside.
struct TapRows {
  int first, count;
  FASTCONV_INLINE TapRows(const TapAxis& h, int64_t p) {
    const int64_t y = p * h.stride + h.first, end = h.in - y < h.taps ? h.in - y : h.taps;
    first = y < 0 ? int(-y < h.taps ? -y : h.taps) : 0;
    count = end > first ? int(end) - first : 0;
  }
};

// Calls body(begin, end) for parts of a row: longer ones come slowly from memory when only some of the channels
// of each pixel are read in turn.
template <class Body>
FASTCONV_INLINE void for_segments(int64_t positions, Body body) {
  constexpr int64_t kLongest = 32;
  const int64_t parts = (positions + kLongest - 1) / kLongest;
  for (int64_t i = 0; i < parts; ++i) body(positions * i / parts, positions * (i + 1) / parts);
}

// Calls body with a count from 1 to 3 as a type.
template <int kRows>
struct Rows {
  static constexpr int count = kRows;
};
template <class Body>
FASTCONV_INLINE void choose_rows(int count, Body body) {
  if (count == 3) return body(Rows<3>{});
  count == 2 ? body(Rows<2>{}) : body(Rows<1>{});
}

template <class T>
bool is_lane_walk(const LaneArgs<T>& a) {
  return !a.permute && a.h.taps == 3 && a.w.taps == 3 && a.h.step == 1 && a.w.step == 1 &&
         (a.w.stride == 1 || a.w.stride == 2);
}

}   // namespace fastconv::cpu::FASTCONV_ISA
