// Planes and square kernels, the result: forward, and backward-input of stride 1 or 2.
#include "depthwise_walk.hpp"

#include "depthwise_plane.hpp"
#include "lanes.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// What a walk reads: rows of one plane, from the first tap of its first column on.
template <class T, int kTaps, int kStride, bool kMasked>
struct Walk {
  static constexpr int kPending = (kTaps - 1) / kStride;   // outputs begun before the one that is finished
  const Strip<T, kTaps, kStride>& strip;
  const T* in;
  int64_t pitch, rows, ahead;

  // The rows from y on that finish position o and begin those up to o + kPending, of which the ones before o +
  // kFirst are not wanted. acc[m] is position o + m.
  template <int kFirst, bool kCheck>
  FASTCONV_INLINE void step(int64_t y, const Vec<T> (&w)[kTaps][kTaps], Vec<T> (&acc)[kPending + 1]) const {
    constexpr int kRow = kTaps - kStride;   // tap of the first row
#pragma GCC unroll 2
    for (int i = 0; i < kStride; ++i) {
      if (kRow + i < kFirst * kStride) continue;
      if (kCheck && uint64_t(y + i) >= uint64_t(rows)) continue;
      const T* row = in + (y + i) * pitch;
      __builtin_prefetch(row + ahead);
      strip.template taps<kMasked>(row, [&](int s, Vec<T> x) FASTCONV_LAMBDA {
#pragma GCC unroll 8
        for (int m = kFirst; m <= kPending; ++m)
          if (kRow + i >= m * kStride) acc[m] += x * w[kRow + i - m * kStride][s];
      });
    }
  }
};

template <class T>
struct RowsOut {
  T* to;
  int64_t pitch, ahead;
  const T* end;   // rows shorter than a vector run over into the next, which are written later
  int count;
  bool relu;

  template <int kStride, bool kMasked>
  FASTCONV_INLINE void put(Vec<T> v) {
    constexpr int lanes = kLanes<T>;
    if constexpr (kStride == 2) v = reordered<T>(v);
    if (relu) v = positive<T>(v);
    if (!kMasked || count == lanes || end - to >= lanes)
      store(to, v);
    else
      store_partial(to, v, count);
    if (kStride == 1 && ahead > 0) __builtin_prefetch(to + ahead, 1);
    to += pitch;
  }
};

template <class T, int kTaps, int kStride, bool kMasked>
FASTCONV_INLINE void walk(const Walk<T, kTaps, kStride, kMasked>& walk, const TapAxis& h, int64_t begin,
                          int64_t end, const Vec<T> (&weight)[kTaps][kTaps], Vec<T> bias, RowsOut<T> out) {
  constexpr int kPending = Walk<T, kTaps, kStride, kMasked>::kPending;
  Vec<T> acc[kPending + 1];
  const auto next = [&]() FASTCONV_LAMBDA {
#pragma GCC unroll 8
    for (int m = 0; m < kPending; ++m) acc[m] = acc[m + 1];
    acc[kPending] = bias;
  };
#pragma GCC unroll 8
  for (int m = 0; m <= kPending; ++m) acc[m] = bias;
  int64_t p = begin, y = begin * kStride + h.first + kTaps - kStride;
  if constexpr (kPending >= 4) walk.template step<4, true>(y - kStride * 4, weight, acc), next();
  if constexpr (kPending >= 3) walk.template step<3, true>(y - kStride * 3, weight, acc), next();
  if constexpr (kPending >= 2) walk.template step<2, true>(y - kStride * 2, weight, acc), next();
  if constexpr (kPending >= 1) walk.template step<1, true>(y - kStride * 1, weight, acc), next();
  const auto checked = [&]() FASTCONV_LAMBDA {
    walk.template step<0, true>(y, weight, acc);
    out.template put<kStride, kMasked>(acc[0]);
    next();
  };
  for (; p < end && y < 0; ++p, y += kStride) checked();
  for (; p < end && y + kStride <= walk.rows; ++p, y += kStride) {
    walk.template step<0, false>(y, weight, acc);
    out.template put<kStride, kMasked>(acc[0]);
    next();
  }
  for (; p < end; ++p, y += kStride) checked();
}

template <class T, int kTaps, int kStride>
void walk_planes(const PlaneForward<T>& args, int64_t first, int64_t last, int64_t begin, int64_t end) {
  const PlaneForward<T> a = args;   // a copy, which no store can alias
  const TapAxis& w = a.w[0];
  Strips<T, kTaps, kStride> strips(w, true);
  const int64_t band = walk_rows<T>(kStride * w.in + w.extent);
  const int64_t ahead = fetch_distance<T>(band * kStride * w.in);
  const int64_t out_ahead = store_distance<T>(end - begin, band, w.extent);
  for (int64_t i = first; i < last; ++i) {
    const Plane<T> plane(a, i);
    Vec<T> weight[kTaps][kTaps];
#pragma GCC unroll 8
    for (int s = 0; s < kTaps; ++s)
#pragma GCC unroll 8
      for (int r = 0; r < kTaps; ++r) weight[r][s] = broadcast(plane.weights[0][s * kTaps + r]);
    const Vec<T> bias = broadcast(plane.bias);
    for (int64_t p = begin; p < end; p += band) {
      const int64_t until = end - p < band ? end : p + band;
      strips.each([&](const Strip<T, kTaps, kStride>& strip) FASTCONV_LAMBDA {
        const T* in = plane.in + strip.q * kStride + w.first;
        const RowsOut<T> out = {
            plane.out + p * w.extent + strip.q, w.extent, out_ahead, a.out_end, strip.count, a.relu};
        if (strip.whole)
          walk<T, kTaps, kStride, false>({strip, in, w.in, a.h.in, ahead}, a.h, p, until, weight, bias, out);
        else
          walk<T, kTaps, kStride, true>({strip, in, w.in, a.h.in, ahead}, a.h, p, until, weight, bias, out);
      });
    }
  }
}

}   // namespace

template <class T>
bool walk_forward(const PlaneForward<T>& a, int64_t first, int64_t last, int64_t begin, int64_t end) {
  const TapAxis &h = a.h, &w = a.w[0];
  const bool known = a.residues == 1 && a.inputs == 1 && h.step == 1 && w.step == 1;
  if (!known || h.taps != w.taps || h.stride != w.stride || h.out_step != 1 || w.out_step != 1) return false;
  if (h.taps == 3 && h.stride == 1) return walk_planes<T, 3, 1>(a, first, last, begin, end), true;
  if (h.taps == 3 && h.stride == 2) return walk_planes<T, 3, 2>(a, first, last, begin, end), true;
  if (h.taps == 5 && h.stride == 1) return walk_planes<T, 5, 1>(a, first, last, begin, end), true;
  if (h.taps == 5 && h.stride == 2) return walk_planes<T, 5, 2>(a, first, last, begin, end), true;
  return false;
}
template bool walk_forward(const PlaneForward<float>&, int64_t, int64_t, int64_t, int64_t);
template bool walk_forward(const PlaneForward<double>&, int64_t, int64_t, int64_t, int64_t);

}   // namespace fastconv::cpu::FASTCONV_ISA
