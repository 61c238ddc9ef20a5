// Max pooling, channels last: vectors of channels.
#include "lanes.hpp"
#include "pool_windows.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// kVectors vectors of channels of one output pixel; `count` lanes of the last one.
template <class T, int kVectors, bool kIndices, bool kStream>
FASTCONV_INLINE void pixel_block(const PoolWindows& w, const T* image, int64_t channels, const Taps& d,
                                 const Taps& h, const Taps& v, T* y, int64_t* indices, int count) {
  const int64_t d_step = w.dilation[0] * w.input[1] * w.input[2], h_step = w.dilation[1] * w.input[2];
  const int64_t origin = origin_of(w, d, h, v.origin);
  Best<T, kIndices> best[kVectors];
#pragma GCC unroll 4   // keeps `best` in registers
  for (int u = 0; u < kVectors; ++u)
    best[u].start(broadcast<T>(-T(__builtin_inf())),
                  d.begin * d_step + h.begin * h_step + v.begin * w.dilation[2]);
  for (int64_t i = d.begin; i < d.end; ++i)
    for (int64_t j = h.begin; j < h.end; ++j)
      for (int64_t k = v.begin; k < v.end; ++k) {
        const int64_t at = i * d_step + j * h_step + k * w.dilation[2];
        const T* p = image + (origin + at) * channels;
#pragma GCC unroll 4
        for (int u = 0; u < kVectors; ++u, p += kLanes<T>)
          best[u].take(count == kLanes<T> ? load(p) : load_partial(p, count), at);
      }
#pragma GCC unroll 4
  for (int u = 0; u < kVectors; ++u) {
    T* to = y + u * kLanes<T>;
    if (kStream)
      stream(to, best[u].value);
    else
      count == kLanes<T> ? store(to, best[u].value) : store_partial(to, best[u].value, count);
    if (kIndices) store_indices<kStream>(indices + u * kLanes<T>, best[u].offset, origin, count);
  }
}

// x_end, y_end: one past what may be read or written.
template <class T, bool kIndices, bool kStream>
FASTCONV_INLINE void pixel(const PoolWindows& w, const T* image, const T* x_end, int64_t channels,
                           const Taps& d, const Taps& h, const Taps& v, T* y, T* y_end, int64_t* indices) {
  constexpr int n = kLanes<T>;
  const auto at = [&](int64_t c) __attribute__((always_inline)) { return kIndices ? indices + c : nullptr; };
  int64_t c = 0;
  for (; c + 4 * n <= channels; c += 4 * n)
    pixel_block<T, 4, kIndices, kStream>(w, image + c, channels, d, h, v, y + c, at(c), n);
  for (; c + n <= channels; c += n)
    pixel_block<T, 1, kIndices, kStream>(w, image + c, channels, d, h, v, y + c, at(c), n);
  if (kStream || c == channels) return;
  // The tail runs over into pixels that are written after this one, as in row_blocks.
  const int64_t reach = origin_of(w, d, h, v.origin + (v.end - 1) * w.dilation[2]) +
                        ((d.end - 1) * w.dilation[0] * w.input[1] + (h.end - 1) * w.dilation[1]) * w.input[2];
  if (reach * channels + c + n <= x_end - image && c + n <= y_end - y)
    pixel_block<T, 1, kIndices, false>(w, image + c, channels, d, h, v, y + c, at(c), n);
  else
    pixel_block<T, 1, kIndices, false>(w, image + c, channels, d, h, v, y + c, at(c), int(channels - c));
}

template <class T, bool kIndices, bool kStream>
void rows_channels_last(const PoolWindows& windows, int64_t channels, const T* x, T* y, int64_t* indices,
                        int64_t begin, int64_t end) {
  const PoolWindows w = windows;
  const int64_t image_size = w.input[0] * w.input[1] * w.input[2] * channels;
  const T* x_end = x + ((end - 1) / (w.output[0] * w.output[1]) + 1) * image_size;
  T* y_end = y + (end - begin) * w.output[2] * channels;
  const bool fit = offsets_fit<T>(w);
  for_rows(w, begin, end, [&](int64_t image, const Taps& d, const Taps& h) __attribute__((always_inline)) {
    const T* from = x + image * image_size;
    for (int64_t i = 0; i < w.output[2]; ++i, y += channels) {
      const Taps v = taps(w, 2, i);
      if (fit && !empty(d) && !empty(h) && !empty(v))
        pixel<T, kIndices, kStream>(w, from, x_end, channels, d, h, v, y, y_end, indices);
      else
        for (int64_t c = 0; c < channels; ++c)
          window(w, from + c, channels, d, h, v, y + c, kIndices ? indices + c : nullptr);
      if (kIndices) indices += channels;
    }
  });
}

}   // namespace

template <class T>
void max_rows_channels_last(const PoolWindows& w, int64_t channels, const T* x, T* y, int64_t* indices,
                            int64_t begin, int64_t end, bool past_caches) {
  const bool aligned = channels % kLanes<T> == 0 && (uintptr_t(y) | uintptr_t(indices)) % kVectorBytes == 0;
  if (past_caches && aligned) {
    (indices ? rows_channels_last<T, true, true> : rows_channels_last<T, false, true>)(w, channels, x, y,
                                                                                       indices, begin, end);
    return end_stream();
  }
  (indices ? rows_channels_last<T, true, false> : rows_channels_last<T, false, false>)(w, channels, x, y,
                                                                                       indices, begin, end);
}
template void max_rows_channels_last(const PoolWindows&, int64_t, const float*, float*, int64_t*, int64_t,
                                     int64_t, bool);
template void max_rows_channels_last(const PoolWindows&, int64_t, const double*, double*, int64_t*, int64_t,
                                     int64_t, bool);

}   // namespace fastconv::cpu::FASTCONV_ISA
