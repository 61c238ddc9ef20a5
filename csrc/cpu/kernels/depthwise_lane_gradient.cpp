// Channels last and 3x3 kernels: the gradient of the weight. Its sums stay in registers over a few rows.
#include "depthwise_lanes.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

constexpr int kTaps = 3;

template <class T, int kStride, int kRows>
struct GradientWalk {
  const T *in, *grad;   // the first tap row's first pixel, and the gradient's
  int64_t row, pixel, pixels, grad_pixel, grad_row;
  bool far;

  template <int kFirst,
            int kEnd>   // taps [kFirst, kEnd) of pixel x; g[s]: the position that reads it through s
  FASTCONV_INLINE void add(int64_t x, const Vec<T> (&g)[kTaps], Vec<T> (&sums)[kRows][kTaps]) const {
#pragma GCC unroll 3
    for (int r = 0; r < kRows; ++r) {
      const Vec<T> value = held(load(in + r * row + x * pixel));
#pragma GCC unroll 3
      for (int s = kFirst; s < kEnd; ++s)
        if (kStride == 1 || s % 2 == kFirst % 2) sums[r][s] += value * g[s];
    }
  }
  FASTCONV_INLINE void single(int64_t q, int64_t x, Vec<T> (&sums)[kRows][kTaps], Vec<T>& bias) const {
    const Vec<T> g = load(grad + q * grad_pixel), all[kTaps] = {g, g, g};
    bias += g;
    if (uint64_t(x) < uint64_t(pixels)) add<0, 1>(x, all, sums);
    if (uint64_t(x + 1) < uint64_t(pixels)) add<1, 2>(x + 1, all, sums);
    if (uint64_t(x + 2) < uint64_t(pixels)) add<2, 3>(x + 2, all, sums);
  }
  // What the same position reads in the rows after these.
  FASTCONV_INLINE void fetch(int64_t q) const {
    __builtin_prefetch(grad + grad_row + q * grad_pixel);
#pragma GCC unroll 2
    for (int i = 0; i < kStride; ++i)
#pragma GCC unroll 2
      for (int r = 0; r < kStride; ++r) __builtin_prefetch(in + (kRows + r) * row + (q * kStride + i) * pixel);
  }
  // Positions [q, end), two at least, whose pixels all lie inside; x is the first of the first one's.
  FASTCONV_INLINE void inside(int64_t q, int64_t end, int64_t x, Vec<T> (&sums)[kRows][kTaps],
                              Vec<T>& bias) const {
    Vec<T> g[kTaps];
    const auto next = [&]() FASTCONV_LAMBDA {
      g[0] = load(grad + q * grad_pixel);
      if (far) fetch(q);
      bias += g[0];
      ++q;
    };
    next();
    add<0, 1>(x++, g, sums);
    if constexpr (kStride == 1) {
      g[1] = g[0];
      next();
      add<0, 2>(x++, g, sums);
      for (; q < end; ++x) {
        g[2] = g[1];
        g[1] = g[0];
        next();
        add<0, 3>(x, g, sums);
      }
      g[2] = g[1];
      g[1] = g[0];
      add<1, 3>(x++, g, sums);
      g[2] = g[1];
      add<2, 3>(x, g, sums);
    } else {
      for (; q < end; x += 2) {
        g[2] = g[1] = g[0];
        next();
        add<1, 2>(x, g, sums);
        add<0, 3>(x + 1, g, sums);
      }
      g[2] = g[1] = g[0];
      add<1, 2>(x, g, sums);
      add<2, 3>(x + 1, g, sums);
    }
  }
  FASTCONV_INLINE void positions(const TapAxis& w, int64_t q, int64_t end, Vec<T> (&sums)[kRows][kTaps],
                                 Vec<T>& bias) const {
    int64_t x = q * kStride + w.first;
    for (; q < end && x < 0; ++q, x += kStride) single(q, x, sums, bias);
    int64_t fit = w.in - kTaps - w.first < 0 ? q : (w.in - kTaps - w.first) / kStride + 1;
    if (fit > end) fit = end;
    if (fit - q >= 2) {
      inside(q, fit, x, sums, bias);
      x += (fit - q) * kStride;
      q = fit;
    }
    for (; q < end; ++q, x += kStride) single(q, x, sums, bias);
  }
};

// Positions [q, end) of the rows [p, p + count), whose tap rows are the same; of block b.
template <class T, int kStride>
FASTCONV_INLINE void gradient_block(const LaneGradient<T>& a, int64_t p, int64_t count, const TapRows& rows,
                                    int64_t q, int64_t end, int64_t b) {
  constexpr int lanes = kLanes<T>;
  const int64_t row = a.w.in * a.in_channels, grad_row = a.w.out * a.out_channels;
  const T* in = a.in + (p * a.h.stride + a.h.first + rows.first) * row + a.sources[b].at;
  const T* grad = a.grad + p * grad_row + a.blocks[b].at;
  T* to = a.sums + (b * kTaps + rows.first) * kTaps * lanes;
  Vec<T> bias = zero<T>();
  choose_rows(rows.count, [&](auto type) FASTCONV_LAMBDA {
    constexpr int kRows = decltype(type)::count;
    Vec<T> sums[kRows][kTaps];
#pragma GCC unroll 3
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 3
      for (int s = 0; s < kTaps; ++s) sums[r][s] = zero<T>();
    for (int64_t i = 0; i < count; ++i, in += a.h.stride * row, grad += grad_row)
      GradientWalk<T, kStride, kRows>{in, grad, row, a.in_channels, a.w.in, a.out_channels, grad_row, a.far}
          .positions(a.w, q, end, sums, bias);
#pragma GCC unroll 3
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 3
      for (int s = 0; s < kTaps; ++s, to += lanes) store(to, load(to) + sums[r][s]);
  });
  if (a.bias) store(a.bias + b * lanes, load(a.bias + b * lanes) + bias);
}

template <class T>
void add_bias(const LaneGradient<T>& a, int64_t p, int64_t b) {
  if (!a.bias) return;
  T* to = a.bias + b * kLanes<T>;
  Vec<T> sum = zero<T>();
  for (int64_t q = 0; q < a.w.out; ++q)
    sum += load(a.grad + (p * a.w.out + q) * a.out_channels + a.blocks[b].at);
  store(to, load(to) + sum);
}

template <class T, int kStride>
void walk_rows(const LaneGradient<T>& args, int64_t begin, int64_t end) {
  constexpr int64_t kTogether = 4;   // rows that share sums, and whose lines wait in L1 for the next block
  const LaneGradient<T> a = args;
  for (int64_t p = begin; p < end;) {
    const TapRows rows(a.h, p);
    int64_t count = 1;
    for (; count < kTogether && p + count < end; ++count) {
      const TapRows more(a.h, p + count);
      if (more.first != rows.first || more.count != rows.count) break;
    }
    if (rows.count == 0)
      for (int64_t b = 0; b < a.block_count; ++b)
        for (int64_t i = 0; i < count; ++i) add_bias(a, p + i, b);
    else
      for_segments(a.w.out, [&](int64_t q, int64_t last) FASTCONV_LAMBDA {
        for (int64_t b = 0; b < a.block_count; ++b) gradient_block<T, kStride>(a, p, count, rows, q, last, b);
      });
    p += count;
  }
}

}   // namespace

template <class T>
bool lane_walk_gradient(const LaneGradient<T>& a, int64_t begin, int64_t end) {
  constexpr int64_t kFew = 28;   // shorter rows come as fast in tiles, whose vectors share lines sooner
  if (!is_lane_walk(a) || a.w.out < kFew) return false;
  a.w.stride == 1 ? walk_rows<T, 1>(a, begin, end) : walk_rows<T, 2>(a, begin, end);
  return true;
}
template bool lane_walk_gradient(const LaneGradient<float>&, int64_t, int64_t);
template bool lane_walk_gradient(const LaneGradient<double>&, int64_t, int64_t);

}   // namespace fastconv::cpu::FASTCONV_ISA
