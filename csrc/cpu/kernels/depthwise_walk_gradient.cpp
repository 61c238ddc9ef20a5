// Planes and 3x3 kernels, the gradient of the weight: its nine sums stay in registers while a vector of columns
// walks down the rows, of several images where they are small.
#include "depthwise_plane.hpp"
#include "depthwise_walk.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

constexpr int kTaps = 3;

template <class T>
struct Sums {
  Vec<T> w[kTaps][kTaps], bias;

  FASTCONV_INLINE Sums() : bias(zero<T>()) {
#pragma GCC unroll 3
    for (int r = 0; r < kTaps; ++r)
#pragma GCC unroll 3
      for (int s = 0; s < kTaps; ++s) w[r][s] = zero<T>();
  }
  FASTCONV_INLINE void add_to(const PlaneGradient<T>& a) const {
    constexpr int lanes = kLanes<T>;
#pragma GCC unroll 3
    for (int s = 0; s < kTaps; ++s)
#pragma GCC unroll 3
      for (int r = 0; r < kTaps; ++r) {
        T* to = a.sums + (s * kTaps + r) * lanes;
        store(to, load(to) + w[r][s]);
      }
    if (a.bias) store(a.bias, load(a.bias) + bias);
  }
};

// One strip of an image: x from the first tap of its first column on, grad from that column on.
template <class T, int kStride, bool kMasked>
struct GradientWalk {
  const Strip<T, kTaps, kStride>& strip;
  const LaneMask<T>& mask;
  const T *x, *grad;
  int64_t x_pitch, grad_pitch, rows, x_ahead, grad_ahead;

  FASTCONV_INLINE Vec<T> gradient(int64_t p) const {
    const T* at = grad + p * grad_pitch;
    const Vec<T> g = kMasked ? mask.load_from(at) : load(at);
    return kStride == 2 ? reordered<T>(g) : g;
  }
  template <class Body>
  FASTCONV_INLINE void row(int64_t y, Body body) const {
    __builtin_prefetch(x + y * x_pitch + x_ahead);
    strip.template taps<kMasked>(x + y * x_pitch, body);
  }
  // Position p by itself.
  FASTCONV_INLINE void single(int64_t p, int64_t y, Sums<T>& sums) const {
    const Vec<T> g = held(gradient(p));
    sums.bias += g;
#pragma GCC unroll 3
    for (int r = 0; r < kTaps; ++r)
      if (uint64_t(y + r) < uint64_t(rows))
        row(y + r, [&](int s, Vec<T> v) FASTCONV_LAMBDA { sums.w[r][s] += v * g; });
  }
  // Positions [begin, end), whose rows all lie inside; y is the first of the first one's.
  FASTCONV_INLINE void inside(int64_t begin, int64_t end, int64_t y, Sums<T>& sums) const {
    if constexpr (kStride == 1) {
      Vec<T> g[kTaps] = {gradient(begin), gradient(begin + 1), zero<T>()};
      sums.bias += g[0] + g[1];
      row(y, [&](int s, Vec<T> v) FASTCONV_LAMBDA { sums.w[0][s] += v * g[0]; });
      row(y + 1, [&](int s, Vec<T> v) FASTCONV_LAMBDA {
        sums.w[1][s] += v * g[0];
        sums.w[0][s] += v * g[1];
      });
      y += 2;
      for (int64_t p = begin + 2; p < end; ++p, ++y) {
        __builtin_prefetch(grad + p * grad_pitch + grad_ahead);
        g[2] = gradient(p);
        sums.bias += g[2];
        row(y, [&](int s, Vec<T> v) FASTCONV_LAMBDA {
          sums.w[2][s] += v * g[0];
          sums.w[1][s] += v * g[1];
          sums.w[0][s] += v * g[2];
        });
        g[0] = g[1];
        g[1] = g[2];
      }
      row(y, [&](int s, Vec<T> v) FASTCONV_LAMBDA {
        sums.w[2][s] += v * g[0];
        sums.w[1][s] += v * g[1];
      });
      row(y + 1, [&](int s, Vec<T> v) FASTCONV_LAMBDA { sums.w[2][s] += v * g[1]; });
    } else {
      Vec<T> g = gradient(begin), next = g;
      sums.bias += g;
      row(y, [&](int s, Vec<T> v) FASTCONV_LAMBDA { sums.w[0][s] += v * g; });
      for (int64_t p = begin + 1; p < end; ++p, y += 2) {
        __builtin_prefetch(grad + p * grad_pitch + grad_ahead);
        next = gradient(p);
        sums.bias += next;
        row(y + 1, [&](int s, Vec<T> v) FASTCONV_LAMBDA { sums.w[1][s] += v * g; });
        row(y + 2, [&](int s, Vec<T> v) FASTCONV_LAMBDA {
          sums.w[2][s] += v * g;
          sums.w[0][s] += v * next;
        });
        g = next;
      }
      row(y + 1, [&](int s, Vec<T> v) FASTCONV_LAMBDA { sums.w[1][s] += v * g; });
      row(y + 2, [&](int s, Vec<T> v) FASTCONV_LAMBDA { sums.w[2][s] += v * g; });
    }
  }
  FASTCONV_INLINE void positions(const TapAxis& h, int64_t p, int64_t end, Sums<T>& sums) const {
    int64_t y = p * kStride + h.first;
    for (; p < end && y < 0; ++p, y += kStride) single(p, y, sums);
    // Those before `fit` have all their rows.
    int64_t fit = h.in - kTaps - h.first < 0 ? p : (h.in - kTaps - h.first) / kStride + 1;
    if (fit > end) fit = end;
    if (fit - p >= 2) {
      inside(p, fit, y, sums);
      y += (fit - p) * kStride;
      p = fit;
    }
    for (; p < end; ++p, y += kStride) single(p, y, sums);
  }
};

// Output rows [begin, end) of `images` images.
template <class T, int kStride>
FASTCONV_INLINE void gradient_images(const PlaneGradient<T>& a, Strips<T, kTaps, kStride>& strips,
                                     const LaneMask<T>& last, const T* x, const T* grad, int64_t images,
                                     int64_t begin, int64_t end, int64_t band) {
  const int64_t x_ahead = fetch_distance<T>(band * kStride * a.w.in), ahead = fetch_distance<T>(band * a.w.out);
  strips.each([&](const Strip<T, kTaps, kStride>& strip) FASTCONV_LAMBDA {
    const T *in = x + strip.q * kStride + a.w.first, *from = grad + strip.q;
    const LaneMask<T> mask = strip.count == kLanes<T> ? LaneMask<T>(LaneRange{0, kLanes<T>}) : last;
    Sums<T> sums;
    for (int64_t n = 0; n < images; ++n, in += a.in_image, from += a.grad_image)
      if (strip.whole)
        GradientWalk<T, kStride, false>{strip, mask, in, from, a.w.in, a.w.out, a.h.in, x_ahead, ahead}
            .positions(a.h, begin, end, sums);
      else
        GradientWalk<T, kStride, true>{strip, mask, in, from, a.w.in, a.w.out, a.h.in, x_ahead, ahead}
            .positions(a.h, begin, end, sums);
    sums.add_to(a);
  });
}

template <class T, int kStride>
void walk_gradients(const PlaneGradient<T>& args, int64_t begin, int64_t end) {
  constexpr int lanes = kLanes<T>;
  const PlaneGradient<T> a = args;   // a copy, which no store can alias
  Strips<T, kTaps, kStride> strips(a.w, false);
  const int tail = int(a.w.out % lanes);
  const LaneMask<T> last(LaneRange{0, tail ? tail : lanes});
  const int64_t rows = a.h.out, band = walk_rows<T>(kStride * a.w.in + a.w.out);
  for (int64_t row = begin; row < end;) {
    const int64_t n = row / rows, p = row % rows, left = end - row < rows - p ? end - row : rows - p;
    const T *x = a.in + n * a.in_image, *grad = a.grad + n * a.grad_image;
    const int64_t some = band / rows < 1 ? 1 : band / rows, whole = (end - row) / rows;
    if (p == 0 && whole >= 1 && band >= rows) {
      const int64_t images = some < whole ? some : whole;
      gradient_images<T, kStride>(a, strips, last, x, grad, images, 0, rows, band);
      row += images * rows;
      continue;
    }
    const int64_t count = left < band ? left : band;
    gradient_images<T, kStride>(a, strips, last, x, grad, 1, p, p + count, band);
    row += count;
  }
}

}   // namespace

template <class T>
bool walk_gradient(const PlaneGradient<T>& a, int64_t begin, int64_t end) {
  const bool known = a.inputs == 1 && a.h.taps == kTaps && a.w.taps == kTaps && a.h.step == 1 && a.w.step == 1;
  if (!known || a.h.stride != a.w.stride) return false;
  if (a.h.stride == 1) return walk_gradients<T, 1>(a, begin, end), true;
  if (a.h.stride == 2) return walk_gradients<T, 2>(a, begin, end), true;
  return false;
}
template bool walk_gradient(const PlaneGradient<float>&, int64_t, int64_t);
template bool walk_gradient(const PlaneGradient<double>&, int64_t, int64_t);

}   // namespace fastconv::cpu::FASTCONV_ISA
