// The backward of max pooling: gradients go where the maxima came from.
#include "pool.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// What stays near the core while it is zeroed and then filled, in bytes.
constexpr int64_t kNear = 256 << 10;

// Indices that are checked at a time.
constexpr int64_t kBlock = 1024;

// The greatest of rows x count indices as unsigned numbers: a negative one is greater than any position.
FASTCONV_INLINE uint64_t greatest(const int64_t* indices, int64_t rows, int64_t stride, int64_t count) {
  uint64_t top = 0;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t c = 0; c < count; ++c) {
      const uint64_t at = uint64_t(indices[i * stride + c]);
      top = at > top ? at : top;
    }
  return top;
}

// The pixels [0, zeroed) of `count` adjacent channels hold sums, the others nothing yet: zeros are written
// shortly before the sums, while the lines are still in the caches.
template <class T>
struct Front {
  T* dx;
  int64_t channels, count, plane, zeroed;

  void advance(int64_t pixels) {
    if (pixels <= zeroed) return;
    const int64_t step = 1 + 8192 / (count * int64_t(sizeof(T)));
    const int64_t end = pixels + step < plane ? pixels + step : plane;
    if (count == channels)
      __builtin_memset(dx + zeroed * channels, 0, size_t((end - zeroed) * channels) * sizeof(T));
    else
      for (int64_t i = zeroed; i < end; ++i) __builtin_memset(dx + i * channels, 0, size_t(count) * sizeof(T));
    zeroed = end;
  }
};

// rows x count gradients whose indices lie inside the plane where kInside; else those outside are left out,
// and the first of them is returned, or -1.
template <bool kInside, class T>
FASTCONV_INLINE int64_t add_block(const Front<T>& front, const T* grad, const int64_t* indices, int64_t rows) {
  const int64_t channels = front.channels;
  int64_t bad = -1;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t c = 0; c < front.count; ++c) {
      const int64_t from = i * channels + c, at = indices[from];
      if (kInside || uint64_t(at) < uint64_t(front.plane))
        front.dx[at * channels + c] += grad[from];
      else if (bad < 0)
        bad = from;
    }
  return bad;
}

}   // namespace

template <class T>
int64_t scatter(const T* grad, const int64_t* indices, int64_t outputs, T* dx, int64_t plane) {
  __builtin_memset(dx, 0, size_t(plane) * sizeof(T));
  int64_t bad = -1;
  for (int64_t i = 0; i < outputs; ++i) {
    const int64_t at = indices[i];
    if (uint64_t(at) < uint64_t(plane))
      dx[at] += grad[i];
    else if (bad < 0)
      bad = i;
  }
  return bad;
}

template <class T>
int64_t scatter_channels_last(const T* grad, const int64_t* indices, int64_t outputs, int64_t channels,
                              int64_t count, T* dx, int64_t plane) {
  Front<T> front = {dx, channels, count, plane, 0};
  if (plane * count * int64_t(sizeof(T)) <= kNear) {
    front.advance(plane);
    return add_block<false>(front, grad, indices, outputs);
  }
  const int64_t block = 1 + kBlock / count;
  int64_t bad = -1;
  for (int64_t i = 0; i < outputs; i += block) {
    const int64_t rows = outputs - i < block ? outputs - i : block, from = i * channels;
    const uint64_t top = greatest(indices + from, rows, channels, count);
    if (top < uint64_t(plane)) {
      front.advance(int64_t(top) + 1);
      add_block<true>(front, grad + from, indices + from, rows);
    } else {
      front.advance(plane);
      const int64_t at = add_block<false>(front, grad + from, indices + from, rows);
      if (bad < 0 && at >= 0) bad = from + at;
    }
  }
  front.advance(plane);
  return bad;
}

template int64_t scatter(const float*, const int64_t*, int64_t, float*, int64_t);
template int64_t scatter(const double*, const int64_t*, int64_t, double*, int64_t);
template int64_t scatter_channels_last(const float*, const int64_t*, int64_t, int64_t, int64_t, float*,
                                       int64_t);
template int64_t scatter_channels_last(const double*, const int64_t*, int64_t, int64_t, int64_t, double*,
                                       int64_t);

}   // namespace fastconv::cpu::FASTCONV_ISA
