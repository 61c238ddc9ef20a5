// Planes of one row, where tiles of eight rows would be empty: a tile is eight vectors side by side.
#pragma once

#include "depthwise_plane.hpp"
#include "depthwise_tile.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

inline bool is_line(const TapAxis& h) { return h.out == 1 && h.taps == 1 && h.first >= 0 && h.first < h.in; }

// Columns whose taps all lie inside.
struct Inside {
  int64_t begin, end;
  FASTCONV_INLINE explicit Inside(const TapAxis& w)
      : begin(w.first < 0 ? -w.first : 0), end(w.in - w.first - (w.taps - 1) * w.step) {
    if (end > w.out) end = w.out;
  }
};

// kCount vectors from column q of a line on, inside, with stride 1.
template <class T, int kCount>
FASTCONV_INLINE void line_tile(const PlaneForward<T>& a, const Plane<T>& plane, int64_t q, T* to) {
  constexpr int lanes = kLanes<T>;
  const TapAxis& w = a.w[0];
  const T* weights = plane.weights[0];
  Vec<T> acc[kCount];
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) acc[i] = broadcast(plane.bias);
  for (int64_t j = 0; j < a.inputs; ++j) {
    const T* x = plane.in + (j * a.h.in + a.h.first) * w.in + q + w.first;
    for (int64_t s = 0; s < w.taps; ++s, x += w.step) {
      const Vec<T> weight = broadcast(*weights++);
#pragma GCC unroll 8
      for (int i = 0; i < kCount; ++i) acc[i] += load(x + i * lanes) * weight;
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) {
    if (a.relu) acc[i] = positive<T>(acc[i]);
    store(to + i * lanes, acc[i]);
  }
}

// From column q on, as far as whole tiles lie inside; returns where they end.
template <class T>
FASTCONV_INLINE int64_t line_tiles(const PlaneForward<T>& a, const Plane<T>& plane, int64_t q, T* to) {
  constexpr int lanes = kLanes<T>;
  const Inside inside(a.w[0]);
  if (!is_line(a.h) || a.w[0].stride != 1 || a.w[0].out_step != 1 || q < inside.begin) return q;
  for (; q + kTile * lanes <= inside.end; q += kTile * lanes) line_tile<T, kTile>(a, plane, q, to + q);
  for (; q + lanes <= inside.end; q += lanes) line_tile<T, 1>(a, plane, q, to + q);
  return q;
}

// As line_tile, the gradient of the weight; of kTile vectors of a line from column q on, inside, with stride 1.
template <class T>
FASTCONV_INLINE void gradient_line(const PlaneGradient<T>& a, const T* in, const T* from, int64_t q) {
  constexpr int lanes = kLanes<T>;
  Vec<T> grad[kTile], sum = zero<T>();
#pragma GCC unroll 8
  for (int i = 0; i < kTile; ++i) {
    grad[i] = load(from + q + i * lanes);
    sum += grad[i];
  }
  T* sums = a.sums;
  for (int64_t j = 0; j < a.inputs; ++j) {
    const T* x = in + (j * a.h.in + a.h.first) * a.w.in + q + a.w.first;
    for (int64_t s = 0; s < a.w.taps; ++s, x += a.w.step, sums += lanes) {
      Vec<T> even = load(x) * grad[0], odd = load(x + lanes) * grad[1];
#pragma GCC unroll 4
      for (int i = 2; i < kTile; i += 2) {
        even += load(x + i * lanes) * grad[i];
        odd += load(x + (i + 1) * lanes) * grad[i + 1];
      }
      store(sums, load(sums) + (even + odd));
    }
  }
  if (a.bias) store(a.bias, load(a.bias) + sum);
}

}   // namespace
}   // namespace fastconv::cpu::FASTCONV_ISA
