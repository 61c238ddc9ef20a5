#include "pool.hpp"

#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// Taps [begin, end) of one dimension that fall inside the input, and where tap 0 lies.
struct Taps {
  int64_t origin, begin, end;
};
FASTCONV_INLINE Taps taps(const PoolWindows& w, int dim, int64_t output) {
  const int64_t step = w.dilation[dim], extent = w.input[dim], kernel = w.kernel[dim];
  const int64_t origin = output * w.stride[dim] - w.padding[dim];
  const int64_t begin = origin < 0 ? (-origin + step - 1) / step : 0;
  if (origin + (kernel - 1) * step < extent) return {origin, begin, kernel};
  return {origin, begin, extent > origin ? (extent - origin + step - 1) / step : 0};
}
FASTCONV_INLINE bool empty(const Taps& t) { return t.begin >= t.end; }

// Where tap (0, 0, 0) would lie in the plane; may be negative.
FASTCONV_INLINE int64_t origin_of(const PoolWindows& w, const Taps& d, const Taps& h, int64_t column) {
  return (d.origin * w.input[1] + h.origin) * w.input[2] + column;
}

// One window by itself: where it is clipped along the row, and for planes past 32-bit offsets.
// `step` elements lie between neighbours of a row.
template <class T>
__attribute__((noinline)) void window(const PoolWindows& w, const T* plane, int64_t step, const Taps& d,
                                      const Taps& h, const Taps& v, T* y, int64_t* index) {
  T best = -T(__builtin_inf());
  int64_t at = -1;
  for (int64_t i = d.begin; i < d.end; ++i)
    for (int64_t j = h.begin; j < h.end; ++j)
      for (int64_t k = v.begin; k < v.end; ++k) {
        const int64_t position = origin_of(w, d, h, v.origin) +
                                 (i * w.dilation[0] * w.input[1] + j * w.dilation[1]) * w.input[2] +
                                 k * w.dilation[2];
        const T value = plane[position * step];
        if (at < 0 || value > best || value != value) best = value, at = position;
      }
  *y = best;
  if (index) *index = at;
}

// ---- vectors of running maxima and of their offsets from the window's origin ----

template <class T>
struct OffsetOf {
  using type = int64_t;
};
template <>
struct OffsetOf<float> {
  using type = int32_t;
};

template <class T>
FASTCONV_INLINE Mask<T> broadcast_offset(int64_t at) {
  return Mask<T>{} + typename OffsetOf<T>::type(at);
}

template <class T>
bool offsets_fit(const PoolWindows& w) {
  const double row = double(w.input[2]), plane = double(w.input[1]) * row;
  const double span = double(w.kernel[0] - 1) * double(w.dilation[0]) * plane +
                      double(w.kernel[1] - 1) * double(w.dilation[1]) * row +
                      double(w.kernel[2] - 1) * double(w.dilation[2]) + double(kLanes<T>) * double(w.stride[2]);
  return sizeof(T) == 8 || span < 2147483647.0;
}

// A window's winner so far. Later elements win by being greater or NaN, so parts of a window that follow each
// other can be reduced on their own and merged.
template <class T, bool kIndices>
struct Best {
  Vec<T> value;
  Mask<T> offset;

  FASTCONV_INLINE void start(Vec<T> v, int64_t at) {
    value = v;
    offset = broadcast_offset<T>(at);
  }
  FASTCONV_INLINE void merge(const Best& later) {
    const Mask<T> wins = (later.value > value) | (later.value != later.value);
    value = select<T>(wins, later.value, value);
    if (kIndices) offset = wins ? later.offset : offset;
  }
  FASTCONV_INLINE void take(Vec<T> v, int64_t at) { merge({v, broadcast_offset<T>(at)}); }
};

typedef int64_t Wide __attribute__((vector_size(kVectorBytes), may_alias));
typedef int32_t Narrow __attribute__((vector_size(kVectorBytes / 2), may_alias));   // as many lanes as Wide
constexpr int kWideLanes = kVectorBytes / 8;

FASTCONV_INLINE void store_wide(int64_t* p, Wide v, int count) {
  if (count >= kWideLanes) {
    __builtin_memcpy(p, &v, sizeof v);
    return;
  }
#if defined(__AVX512F__)
  _mm512_mask_storeu_epi64(p, (__mmask8)((1u << count) - 1), (__m512i)v);
#elif defined(__AVX2__)
  const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
  _mm256_maskstore_epi64((long long*)p, _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), lane), (__m256i)v);
#else
  for (int i = 0; i < count; ++i) p[i] = v[i];
#endif
}
FASTCONV_INLINE Wide widen(Narrow v) {
#if defined(__AVX512F__)
  return (Wide)_mm512_maskz_cvtepi32_epi64(0xff, (__m256i)v);
#elif defined(__AVX2__)
  return (Wide)_mm256_cvtepi32_epi64((__m128i)v);
#else
  return __builtin_convertvector(v, Wide);
#endif
}
FASTCONV_INLINE void store_indices(int64_t* p, Mask<float> offsets, int64_t base, int count) {
  Narrow half[2];
  __builtin_memcpy(half, &offsets, sizeof offsets);
  store_wide(p, widen(half[0]) + base, count);
  if (count > kWideLanes) store_wide(p + kWideLanes, widen(half[1]) + base, count - kWideLanes);
}
FASTCONV_INLINE void store_indices(int64_t* p, Mask<double> offsets, int64_t base, int count) {
  store_wide(p, (Wide)offsets + base, count);
}

// ---- NCHW: vectors along an output row ----

// Elements 0, 2, 4, .. of 2 * kLanes - 1; `high` starts at element kLanes - 1, so nothing past the last is
// read.
template <class T>
FASTCONV_INLINE Vec<T> every_second(Vec<T> low, Vec<T> high) {
  if constexpr (kLanes<T> == 2) return __builtin_shufflevector(low, high, 0, 3);
  if constexpr (kLanes<T> == 4) return __builtin_shufflevector(low, high, 0, 2, 5, 7);
  if constexpr (kLanes<T> == 8) return __builtin_shufflevector(low, high, 0, 2, 4, 6, 9, 11, 13, 15);
  if constexpr (kLanes<T> == 16)
    return __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
}

// `count` lanes from p[0], p[stride], ..; kStride 0 stands for any stride.
template <int kStride, class T>
FASTCONV_INLINE Vec<T> load_strided(const T* p, int64_t stride, int count) {
  constexpr int n = kLanes<T>;
  if constexpr (kStride == 1) {
    return count == n ? load(p) : load_partial(p, count);
  } else if constexpr (kStride == 2) {
    if (count == n) return every_second<T>(load(p), load(p + n - 1));
    const int first = 2 * count - 1, second = 2 * count - n;
    if (second <= 0) return every_second<T>(load_partial(p, first), zero<T>());
    return every_second<T>(load(p), load_partial(p + n - 1, second));
  } else {
    Vec<T> v = zero<T>();
    for (int i = 0; i < n; ++i)
      if (i < count) v[i] = p[i * stride];
    return v;
  }
}

// What one output row reads and may write.
template <class T>
struct Row {
  const T *plane, *x_end;   // x_end, y_end: one past what may be read or written
  Taps d, h;
  T *y, *y_end;
  int64_t* indices;
};

// `count` outputs from `column` on, whose windows are not clipped along the row. kKernel: a square window of
// that extent, not clipped at all; 0 for any.
template <class T, int kStride, int kKernel, bool kIndices>
FASTCONV_INLINE void row_block(const PoolWindows& w, const Row<T>& row, int64_t column, int count) {
  const int64_t d_step = w.dilation[0] * w.input[1] * w.input[2], h_step = w.dilation[1] * w.input[2];
  const int64_t origin = origin_of(w, row.d, row.h, column * w.stride[2] - w.padding[2]);
  const auto tap = [&](int64_t at) __attribute__((always_inline)) {
    return load_strided<kStride>(row.plane + (origin + at), w.stride[2], count);
  };
  Best<T, kIndices> best;
  if constexpr (kKernel > 0) {
#pragma GCC unroll 3
    for (int j = 0; j < kKernel; ++j) {
      Best<T, kIndices> line;
      line.start(tap(j * h_step), j * h_step);
#pragma GCC unroll 3
      for (int k = 1; k < kKernel; ++k)
        line.take(tap(j * h_step + k * w.dilation[2]), j * h_step + k * w.dilation[2]);
      j == 0 ? void(best = line) : best.merge(line);
    }
  } else {
    const int64_t first = row.d.begin * d_step + row.h.begin * h_step;
    best.start(tap(first), first);
    for (int64_t i = row.d.begin; i < row.d.end; ++i)
      for (int64_t j = row.h.begin; j < row.h.end; ++j)
        for (int64_t k = 0; k < w.kernel[2]; ++k) {
          const int64_t at = i * d_step + j * h_step + k * w.dilation[2];
          best.take(tap(at), at);
        }
  }
  T* y = row.y + column;
  count == kLanes<T> ? store(y, best.value) : store_partial(y, best.value, count);
  if (!kIndices) return;
  Mask<T> lane;
  for (int i = 0; i < kLanes<T>; ++i) lane[i] = i;
  store_indices(row.indices + column, best.offset + lane * broadcast_offset<T>(w.stride[2]), origin, count);
}

// The outputs [first, last) of a row.
template <class T, int kStride, int kKernel, bool kIndices>
FASTCONV_INLINE void row_blocks(const PoolWindows& w, const Row<T>& row, int64_t first, int64_t last) {
  constexpr int n = kLanes<T>;
  int64_t column = first;
  for (; column + n <= last; column += n) row_block<T, kStride, kKernel, kIndices>(w, row, column, n);
  if (column == last) return;
  // The tail as a full vector: overlapping the one before, or running over into rows that are written after
  // this one. Partial loads and stores only at the end of the array or of the rows to be written.
  if (last - first >= n) return row_block<T, kStride, kKernel, kIndices>(w, row, last - n, n);
  const int64_t reach =
      origin_of(w, row.d, row.h, (first + n - 1) * w.stride[2] - w.padding[2]) +
      ((row.d.end - 1) * w.dilation[0] * w.input[1] + (row.h.end - 1) * w.dilation[1]) * w.input[2] +
      (w.kernel[2] - 1) * w.dilation[2];
  if (reach < row.x_end - row.plane && first + n <= row.y_end - row.y)
    row_block<T, kStride, kKernel, kIndices>(w, row, first, n);
  else
    row_block<T, kStride, kKernel, kIndices>(w, row, first, int(last - first));
}

// Calls body(image, d taps, h taps) for the output rows [begin, end), counted through all images.
template <class Body>
FASTCONV_INLINE void for_rows(const PoolWindows& w, int64_t begin, int64_t end, Body body) {
  const int64_t rows = w.output[0] * w.output[1];
  int64_t image = begin / rows, outer = begin % rows / w.output[1], inner = begin % w.output[1];
  for (int64_t row = begin; row < end; ++row) {
    body(image, taps(w, 0, outer), taps(w, 1, inner));
    if (++inner < w.output[1]) continue;
    inner = 0;
    if (++outer < w.output[0]) continue;
    outer = 0;
    ++image;
  }
}

template <class T, int kStride, int kKernel, bool kIndices>
void rows(const PoolWindows& windows, const T* x, T* y, int64_t* indices, int64_t begin, int64_t end) {
  const PoolWindows w = windows;   // a copy, which no store below can alias
  const int64_t plane = w.input[0] * w.input[1] * w.input[2], width = w.output[2];
  const int64_t planes = (end - 1) / (w.output[0] * w.output[1]) + 1;
  // The outputs whose windows are whole along the row; none where offsets do not fit a lane.
  int64_t first = 0, last = width;
  while (first < width && taps(w, 2, first).begin > 0) ++first;
  while (last > first && taps(w, 2, last - 1).end < w.kernel[2]) --last;
  if (first == last || !offsets_fit<T>(w)) first = last = width;

  Row<T> row = {nullptr, x + planes * plane, {}, {}, y, y + (end - begin) * width, indices};
  const auto one_by_one = [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i)
      window(w, row.plane, 1, row.d, row.h, taps(w, 2, i), row.y + i, kIndices ? row.indices + i : nullptr);
  };
  for_rows(w, begin, end, [&](int64_t image, const Taps& d, const Taps& h) __attribute__((always_inline)) {
    row.plane = x + image * plane;
    row.d = d, row.h = h;
    if (first == width || empty(d) || empty(h)) {
      one_by_one(0, width);
    } else {
      if (first > 0) one_by_one(0, first);
      if (kKernel == 0 || h.end - h.begin < w.kernel[1])
        row_blocks<T, kStride, 0, kIndices>(w, row, first, last);
      else
        row_blocks<T, kStride, kKernel, kIndices>(w, row, first, last);
      if (last < width) one_by_one(last, width);
    }
    row.y += width;
    if (kIndices) row.indices += width;
  });
}

template <class T, bool kIndices>
void choose_rows(const PoolWindows& w, const T* x, T* y, int64_t* indices, int64_t begin, int64_t end) {
  const bool square = w.kernel[0] == 1 && w.kernel[1] == w.kernel[2];
  const int64_t kernel = square ? w.kernel[2] : 0, stride = w.stride[2];
  if (stride == 2 && kernel == 2) return rows<T, 2, 2, kIndices>(w, x, y, indices, begin, end);
  if (stride == 2 && kernel == 3) return rows<T, 2, 3, kIndices>(w, x, y, indices, begin, end);
  if (stride == 2) return rows<T, 2, 0, kIndices>(w, x, y, indices, begin, end);
  if (stride == 1 && kernel == 3) return rows<T, 1, 3, kIndices>(w, x, y, indices, begin, end);
  if (stride == 1) return rows<T, 1, 0, kIndices>(w, x, y, indices, begin, end);
  return rows<T, 0, 0, kIndices>(w, x, y, indices, begin, end);
}

template <class T>
void max_rows(const PoolWindows& w, const T* x, T* y, int64_t* indices, int64_t begin, int64_t end) {
  indices ? choose_rows<T, true>(w, x, y, indices, begin, end)
          : choose_rows<T, false>(w, x, y, indices, begin, end);
}

// ---- channels-last: vectors of channels ----

// kVectors vectors of channels of one output pixel; `count` lanes of the last one.
template <class T, int kVectors, bool kIndices>
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
    count == kLanes<T> ? store(to, best[u].value) : store_partial(to, best[u].value, count);
    if (kIndices) store_indices(indices + u * kLanes<T>, best[u].offset, origin, count);
  }
}

// x_end, y_end: one past what may be read or written.
template <class T, bool kIndices>
FASTCONV_INLINE void pixel(const PoolWindows& w, const T* image, const T* x_end, int64_t channels,
                           const Taps& d, const Taps& h, const Taps& v, T* y, T* y_end, int64_t* indices) {
  constexpr int n = kLanes<T>;
  const auto at = [&](int64_t c) __attribute__((always_inline)) { return kIndices ? indices + c : nullptr; };
  int64_t c = 0;
  for (; c + 4 * n <= channels; c += 4 * n)
    pixel_block<T, 4, kIndices>(w, image + c, channels, d, h, v, y + c, at(c), n);
  for (; c + n <= channels; c += n)
    pixel_block<T, 1, kIndices>(w, image + c, channels, d, h, v, y + c, at(c), n);
  if (c == channels) return;
  // The tail runs over into pixels that are written after this one, as in row_blocks.
  const int64_t reach = origin_of(w, d, h, v.origin + (v.end - 1) * w.dilation[2]) +
                        ((d.end - 1) * w.dilation[0] * w.input[1] + (h.end - 1) * w.dilation[1]) * w.input[2];
  if (reach * channels + c + n <= x_end - image && c + n <= y_end - y)
    pixel_block<T, 1, kIndices>(w, image + c, channels, d, h, v, y + c, at(c), n);
  else
    pixel_block<T, 1, kIndices>(w, image + c, channels, d, h, v, y + c, at(c), int(channels - c));
}

template <class T, bool kIndices>
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
        pixel<T, kIndices>(w, from, x_end, channels, d, h, v, y, y_end, indices);
      else
        for (int64_t c = 0; c < channels; ++c)
          window(w, from + c, channels, d, h, v, y + c, kIndices ? indices + c : nullptr);
      if (kIndices) indices += channels;
    }
  });
}

template <class T>
void max_rows_channels_last(const PoolWindows& w, int64_t channels, const T* x, T* y, int64_t* indices,
                            int64_t begin, int64_t end) {
  indices ? rows_channels_last<T, true>(w, channels, x, y, indices, begin, end)
          : rows_channels_last<T, false>(w, channels, x, y, indices, begin, end);
}

// ---- backward ----

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
  if (count == channels)
    __builtin_memset(dx, 0, size_t(plane * channels) * sizeof(T));
  else
    for (int64_t i = 0; i < plane; ++i) __builtin_memset(dx + i * channels, 0, size_t(count) * sizeof(T));
  int64_t bad = -1;
  for (int64_t i = 0; i < outputs; ++i) {
    const int64_t row = i * channels;
    for (int64_t c = 0; c < count; ++c) {
      const int64_t at = indices[row + c];
      if (uint64_t(at) < uint64_t(plane))
        dx[at * channels + c] += grad[row + c];
      else if (bad < 0)
        bad = row + c;
    }
  }
  return bad;
}

// ---- between the layouts ----

template <class E>
void transpose(const E* from, int64_t rows, int64_t columns, E* to, int64_t stride) {
  constexpr int64_t kTile = 16;
  for (int64_t i = 0; i < rows; i += kTile)
    for (int64_t j = 0; j < columns; j += kTile) {
      const int64_t i_end = i + kTile < rows ? i + kTile : rows,
                    j_end = j + kTile < columns ? j + kTile : columns;
      for (int64_t q = j; q < j_end; ++q)
        for (int64_t p = i; p < i_end; ++p) to[q * stride + p] = from[p * columns + q];
    }
}

}   // namespace

template <class T>
PoolKernels<T> pool_kernels() {
  return {max_rows<T>,  max_rows_channels_last<T>, scatter<T>, scatter_channels_last<T>,
          transpose<T>, transpose<int64_t>};
}

template PoolKernels<float> pool_kernels<float>();
template PoolKernels<double> pool_kernels<double>();

}   // namespace fastconv::cpu::FASTCONV_ISA
