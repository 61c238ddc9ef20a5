// Channels last and 3x3 kernels: forward, and backward-input of stride 1.
#include "depthwise_lanes.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

constexpr int kTaps = 3;

// kRows rows of kWide vectors of channels, from their first pixel on, and what they are multiplied with.
template <class T, int kStride, int kRows, int kWide>
struct RowWalk {
  static constexpr int kPending = (kTaps - 1) / kStride;   // outputs begun before the one that is finished
  const T* in[kWide];
  int64_t row, pixel, pixels;
  const T* weights;
  int64_t block;   // from the weights of a vector to the next one's
  bool far;

  FASTCONV_INLINE Vec<T> weight(int r, int s, int v) const {
    return load(weights + v * block + (r * kTaps + s) * kLanes<T>);
  }
  // The pixels from x on that finish position o and begin those up to o + kPending, of which the ones before o
  // + kFirst are not wanted. acc[v][m] is position o + m.
  template <int kFirst, bool kCheck, class Weight>
  FASTCONV_INLINE void step(int64_t x, Weight w, Vec<T> (&acc)[kWide][kPending + 1]) const {
    constexpr int kColumn = kTaps - kStride;   // tap of the first pixel
#pragma GCC unroll 2
    for (int i = 0; i < kStride; ++i) {
      if (kColumn + i < kFirst * kStride) continue;
      if (kCheck && uint64_t(x + i) >= uint64_t(pixels)) continue;
#pragma GCC unroll 3
      for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < kWide; ++v) {
          const Vec<T> value = held(load(in[v] + r * row + (x + i) * pixel));
#pragma GCC unroll 4
          for (int m = kFirst; m <= kPending; ++m)
            if (kColumn + i >= m * kStride) acc[v][m] += value * w(r, kColumn + i - m * kStride, v);
        }
    }
  }
  // What the next row of positions reads first.
  FASTCONV_INLINE void fetch(int64_t x) const {
    if (!far) return;
#pragma GCC unroll 2
    for (int i = 0; i < kStride; ++i)
#pragma GCC unroll 2
      for (int r = 0; r < kStride; ++r) __builtin_prefetch(in[0] + (kRows + r) * row + (x + i) * pixel);
  }
};

template <class T, int kStride, int kRows, int kWide, class Weight>
FASTCONV_INLINE void walk_row(const RowWalk<T, kStride, kRows, kWide>& walk, int64_t q, int64_t end,
                              int64_t first_tap, Weight weight, const T* bias, bool relu,
                              T* const (&out)[kWide], int64_t pitch, int64_t next_row) {
  constexpr int kPending = RowWalk<T, kStride, kRows, kWide>::kPending, lanes = kLanes<T>;
  Vec<T> acc[kWide][kPending + 1], first[kWide];
  T* to[kWide];
#pragma GCC unroll 4
  for (int v = 0; v < kWide; ++v) {
    first[v] = load(bias + v * lanes);
    to[v] = out[v] + q * pitch;
#pragma GCC unroll 4
    for (int m = 0; m <= kPending; ++m) acc[v][m] = first[v];
  }
  const auto next = [&]() FASTCONV_LAMBDA {
#pragma GCC unroll 4
    for (int v = 0; v < kWide; ++v) {
#pragma GCC unroll 4
      for (int m = 0; m < kPending; ++m) acc[v][m] = acc[v][m + 1];
      acc[v][kPending] = first[v];
    }
  };
  const auto put = [&]() FASTCONV_LAMBDA {
#pragma GCC unroll 4
    for (int v = 0; v < kWide; ++v) {
      store(to[v], relu ? positive<T>(acc[v][0]) : acc[v][0]);
      if (walk.far && v == 0) __builtin_prefetch(to[v] + next_row, 1);
      to[v] += pitch;
    }
    next();
  };
  int64_t x = q * kStride + first_tap + kTaps - kStride;
  if constexpr (kPending >= 2) walk.template step<2, true>(x - kStride * 2, weight, acc), next();
  walk.template step<1, true>(x - kStride, weight, acc), next();
  for (; q < end && x < 0; ++q, x += kStride) walk.template step<0, true>(x, weight, acc), put();
  for (; q < end && x + kStride <= walk.pixels; ++q, x += kStride) {
    walk.fetch(x);
    walk.template step<0, false>(x, weight, acc);
    put();
  }
  for (; q < end; ++q, x += kStride) walk.template step<0, true>(x, weight, acc), put();
}

// Positions [q, end) of row p, of the blocks [b, b + kWide).
template <class T, int kStride, int kWide>
FASTCONV_INLINE void walk_blocks(const LaneForward<T>& a, int64_t p, const TapRows& rows, int64_t q,
                                 int64_t end, int64_t b, T* to) {
  constexpr int lanes = kLanes<T>;
  const int64_t pitch = a.w.out_step * a.out_channels, row = a.w.in * a.in_channels;
  const T* in = a.in + (p * a.h.stride + a.h.first + rows.first) * row;
  const T* weights = a.weights + (b * kTaps + rows.first) * kTaps * lanes;
  T* out[kWide];
#pragma GCC unroll 4
  for (int v = 0; v < kWide; ++v) out[v] = to + a.blocks[b + v].at;
  choose_rows(rows.count, [&](auto count) FASTCONV_LAMBDA {
    constexpr int kRows = decltype(count)::count;
    RowWalk<T, kStride, kRows, kWide> walk = {{},   row, a.in_channels, a.w.in, weights, kTaps * kTaps * lanes,
                                              a.far};
#pragma GCC unroll 4
    for (int v = 0; v < kWide; ++v) walk.in[v] = in + a.sources[b + v].at;
    const T* bias = a.bias + b * lanes;
    if constexpr (kWide == 1) {   // they fit into registers
      Vec<T> w[kRows][kTaps];
#pragma GCC unroll 3
      for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 3
        for (int s = 0; s < kTaps; ++s) w[r][s] = walk.weight(r, s, 0);
      walk_row(
          walk, q, end, a.w.first, [&](int r, int s, int) FASTCONV_LAMBDA { return w[r][s]; }, bias, a.relu,
          out, pitch, a.h.out_step * a.w.extent * a.out_channels);
    } else {
      walk_row(
          walk, q, end, a.w.first, [&](int r, int s, int v) FASTCONV_LAMBDA { return walk.weight(r, s, v); },
          bias, a.relu, out, pitch, a.h.out_step * a.w.extent * a.out_channels);
    }
  });
}

// No tap row lies inside.
template <class T>
void bias_row(const LaneForward<T>& a, T* to) {
  constexpr int lanes = kLanes<T>;
  for (int64_t q = 0; q < a.w.out; ++q)
    for (int64_t b = 0; b < a.block_count; ++b) {
      const Vec<T> v = load(a.bias + b * lanes);
      store(to + q * a.w.out_step * a.out_channels + a.blocks[b].at, a.relu ? positive<T>(v) : v);
    }
}

// Two vectors side by side share their lines, which are gone from L1 when the next row comes where pixels lie
// powers of two apart.
template <class T, int kStride>
void walk_rows(const LaneForward<T>& args, int64_t begin, int64_t end) {
  const LaneForward<T> a = args;   // a copy, which no store can alias
  for (int64_t p = begin; p < end; ++p) {
    T* to = a.out + ((a.h.out_first + p * a.h.out_step) * a.w.extent + a.w.out_first) * a.out_channels;
    const TapRows rows(a.h, p);
    if (rows.count == 0) {
      bias_row(a, to);
      continue;
    }
    for_segments(a.w.out, [&](int64_t q, int64_t last) FASTCONV_LAMBDA {
      int64_t b = 0;
      for (; b + 2 <= a.block_count; b += 2) walk_blocks<T, kStride, 2>(a, p, rows, q, last, b, to);
      if (b < a.block_count) walk_blocks<T, kStride, 1>(a, p, rows, q, last, b, to);
    });
  }
}

}   // namespace

template <class T>
bool lane_walk(const LaneForward<T>& a, int64_t begin, int64_t end) {
  constexpr int64_t kNarrow =
      32;   // wider rows of stride 1 come faster in tiles of few pixels and all channels
  if (!is_lane_walk(a) || (a.w.stride == 1 && a.w.out > kNarrow)) return false;
  a.w.stride == 1 ? walk_rows<T, 1>(a, begin, end) : walk_rows<T, 2>(a, begin, end);
  return true;
}
template bool lane_walk(const LaneForward<float>&, int64_t, int64_t);
template bool lane_walk(const LaneForward<double>&, int64_t, int64_t);

}   // namespace fastconv::cpu::FASTCONV_ISA
