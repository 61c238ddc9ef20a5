// Max pooling, NCHW: vectors along an output row.
#include "lanes.hpp"
#include "pool_windows.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

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

template <class T, int kStride, int kKernel, bool kIndices>
void rows(const PoolWindows& windows, const T* x, T* y, int64_t* indices, int64_t begin, int64_t end) {
  const PoolWindows w = windows;   // a copy, which no store below can alias
  const int64_t plane = w.input[0] * w.input[1] * w.input[2], width = w.output[2];
  const int64_t planes = (end - 1) / (w.output[0] * w.output[1]) + 1;
  // The outputs whose windows are whole along the row; none where offsets do not fit a lane.
  int64_t first = 0, last = width;
  while (first < width && taps(w, 2, first).begin > 0) ++first;
  while (last > first && taps(w, 2, last - 1).end < w.kernel[2]) --last;
  if (first == last || w.stride[2] == 0 || !offsets_fit<T>(w)) first = last = width;

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

}   // namespace

template <class T>
void max_rows(const PoolWindows& w, const T* x, T* y, int64_t* indices, int64_t begin, int64_t end) {
  indices ? choose_rows<T, true>(w, x, y, indices, begin, end)
          : choose_rows<T, false>(w, x, y, indices, begin, end);
}
template void max_rows(const PoolWindows&, const float*, float*, int64_t*, int64_t, int64_t);
template void max_rows(const PoolWindows&, const double*, double*, int64_t*, int64_t, int64_t);

}   // namespace fastconv::cpu::FASTCONV_ISA
