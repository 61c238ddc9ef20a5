// The tiles of kernels/depthwise.cpp: eight positions along one axis, in as many registers. Each input along
// the axis is loaded once and goes into every output that it reaches. What a vector holds, and where it comes
// from, is the caller's `input`.
#pragma once

#include "depthwise.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {

constexpr int kTile = 8;

// Known taps and stride of an axis of step 1; zeros stand for any.
template <int kTaps, int kStride>
struct Kind {
  static constexpr int taps = kTaps, stride = kStride;
};
template <int kLeast = 1, class Body>   // kLeast: fewer taps are not told apart
FASTCONV_INLINE void choose_taps(const TapAxis& a, Body body) {
  const bool together = a.step == 1 || a.taps == 1;
  if constexpr (kLeast == 1) {
    if (together && a.stride == 1 && a.taps == 1) return body(Kind<1, 1>{});
    if (together && a.stride == 1 && a.taps == 2) return body(Kind<2, 1>{});
  }
  if (together && a.stride == 1 && a.taps == 3) return body(Kind<3, 1>{});
  if (together && a.stride == 1 && a.taps == 5) return body(Kind<5, 1>{});
  if (together && a.stride == 1 && a.taps == 7) return body(Kind<7, 1>{});
  if (together && a.stride == 2 && a.taps == 3) return body(Kind<3, 2>{});
  if (together && a.stride == 2 && a.taps == 5) return body(Kind<5, 2>{});
  body(Kind<0, 0>{});
}

// The inputs [0, end) of an axis that positions up to `last` read. Taps outside are left out.
FASTCONV_INLINE uint64_t inputs_end(const TapAxis& a, int64_t last) {
  const int64_t end = last * a.stride + a.first + (a.taps - 1) * a.step + 1;
  return uint64_t(end < 0 ? 0 : end < a.in ? end : a.in);
}

// Whether a tile's positions from p on, and all their taps, lie inside; of an axis of step 1.
template <int kTaps, int kStride, int kLong = kTile>
FASTCONV_INLINE bool is_inside(const TapAxis& a, int64_t p) {
  const int64_t x0 = p * kStride + a.first;
  return kTaps > 0 && p + kLong <= a.out && x0 >= 0 && x0 + (kLong - 1) * kStride + kTaps <= a.in;
}

// acc[v][q] += input(x, v) * weight(tap, v) over the taps of position p + q, for q < count (more may be
// computed), of kWide vectors side by side. kTaps and kStride: of the axis, with step 1; 0 for any. kInside: as
// is_inside says.
template <class T, int kTaps, int kStride, bool kInside, int kWide = 1, int kLong = kTile, class Input,
          class Weight>
FASTCONV_INLINE void add_taps(const TapAxis& a, int64_t p, int count, Input input, Weight weight,
                              Vec<T> (*acc)[kLong]) {
  const int64_t x0 = p * a.stride + a.first;
  const uint64_t end = kInside ? 0 : inputs_end(a, p + count - 1);
  if constexpr (kTaps > 0) {
    Vec<T> w[kTaps][kWide];
#pragma GCC unroll 8
    for (int k = 0; k < kTaps; ++k)
#pragma GCC unroll 4
      for (int v = 0; v < kWide; ++v) w[k][v] = weight(k, v);
#pragma GCC unroll 32
    for (int i = 0; i < (kLong - 1) * kStride + kTaps; ++i) {
      if (!kInside && uint64_t(x0 + i) >= end) continue;
#pragma GCC unroll 4
      for (int v = 0; v < kWide; ++v) {
        const Vec<T> in = held(input(x0, i, v));
#pragma GCC unroll 8
        for (int k = 0; k < kTaps; ++k)
          if (i >= k && (i - k) % kStride == 0 && (i - k) / kStride < kLong)
            acc[v][(i - k) / kStride] += in * w[k][v];
      }
    }
  } else {
    for (int64_t k = 0; k < a.taps; ++k)
#pragma GCC unroll 4
      for (int v = 0; v < kWide; ++v) {
        const Vec<T> w = weight(k, v);
#pragma GCC unroll 8
        for (int q = 0; q < kLong; ++q) {
          const int64_t x = x0 + q * a.stride + k * a.step;
          if (uint64_t(x) < end) acc[v][q] += input(x, 0, v) * w;
        }
      }
  }
}

// sums[v][k] += input(x, v) * grad[v][q] over the positions p + q, q < kCount, that read the input through tap
// k; of kWide vectors side by side, whose sums lie `pitch` apart.
template <class T, int kTaps, int kStride, int kCount, bool kInside, int kWide = 1, class Input>
FASTCONV_INLINE void add_products(const TapAxis& a, int64_t p, Input input, const Vec<T> (*grad)[kCount],
                                  T* sums, int64_t pitch = 0) {
  constexpr int lanes = kLanes<T>;
  const int64_t x0 = p * a.stride + a.first;
  const uint64_t end = kInside ? 0 : inputs_end(a, p + kCount - 1);
  if constexpr (kTaps > 0) {
    Vec<T> acc[kWide][kTaps];
#pragma GCC unroll 2
    for (int v = 0; v < kWide; ++v)
#pragma GCC unroll 8
      for (int k = 0; k < kTaps; ++k) acc[v][k] = zero<T>();
#pragma GCC unroll 32
    for (int i = 0; i < (kCount - 1) * kStride + kTaps; ++i) {
      if (!kInside && uint64_t(x0 + i) >= end) continue;
#pragma GCC unroll 2
      for (int v = 0; v < kWide; ++v) {
        const Vec<T> in = held(input(x0, i, v));
#pragma GCC unroll 8
        for (int k = 0; k < kTaps; ++k)
          if (i >= k && (i - k) % kStride == 0 && (i - k) / kStride < kCount)
            acc[v][k] += in * grad[v][(i - k) / kStride];
      }
    }
#pragma GCC unroll 2
    for (int v = 0; v < kWide; ++v)
#pragma GCC unroll 8
      for (int k = 0; k < kTaps; ++k) {
        T* to = sums + v * pitch + k * lanes;
        store(to, load(to) + acc[v][k]);
      }
  } else {
    for (int64_t k = 0; k < a.taps; ++k) {
      Vec<T> acc = zero<T>();
#pragma GCC unroll 8
      for (int q = 0; q < kCount; ++q) {
        const int64_t x = x0 + q * a.stride + k * a.step;
        if (uint64_t(x) < end) acc += input(x, 0, 0) * grad[0][q];
      }
      store(sums + k * lanes, load(sums + k * lanes) + acc);
    }
  }
}

template <int kCount>
struct Count {
  static constexpr int value = kCount;
};
// Calls body with as many positions of `left` < kTile, as a type, as one tile takes.
template <class Body>
FASTCONV_INLINE void choose_count(int64_t left, Body body) {
  if (left >= 7) return body(Count<7>{});
  if (left >= 4) return body(Count<4>{});
  left >= 2 ? body(Count<2>{}) : body(Count<1>{});
}

// The kernels of planes (depthwise_planes.cpp); the others are left out.
template <class T>
DepthwiseKernels<T> plane_kernels();

}   // namespace fastconv::cpu::FASTCONV_ISA
