#include "pack.hpp"

#include "lanes.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// A square of kLanes x kLanes in registers: log2(lanes) rounds that exchange the off-diagonal blocks.
template <class T, int s = 1>
FASTCONV_INLINE void transpose_square(Vec<T>* v) {
  constexpr int lanes = kLanes<T>;
  if constexpr (s < lanes) {
#pragma GCC unroll 16
    for (int i = 0; i < lanes; ++i)
      if (!(i & s)) exchange<T, s>(v[i], v[i + s], v[i], v[i + s]);
    transpose_square<T, 2 * s>(v);
  }
}

// A corner of fewer than kLanes rows or columns; single ones are moved one element at a time.
template <class T, class Row>
void transpose_corner(const T* src, ptrdiff_t src_stride, T* dst, Row dst_row, int rows, int columns) {
  constexpr int lanes = kLanes<T>;
  if (rows < 3 || columns < 3) {
    for (int j = 0; j < columns; ++j)
      for (int i = 0; i < rows; ++i) dst[dst_row(j) + i] = src[i * src_stride + j];
    return;
  }
  Vec<T> v[lanes];
#pragma GCC unroll 16
  for (int k = 0; k < lanes; ++k) v[k] = k < rows ? load_partial(src + k * src_stride, columns) : zero<T>();
  transpose_square<T>(v);
#pragma GCC unroll 16
  for (int k = 0; k < lanes; ++k)
    if (k < columns) store_partial(dst + dst_row(k), v[k], rows);
}

// dst_row(j) says where row j of the result begins.
template <class T, class Row>
FASTCONV_INLINE void transpose_to(const T* src, ptrdiff_t src_stride, T* dst, Row dst_row, int64_t rows,
                                  int64_t columns) {
  constexpr int lanes = kLanes<T>;
  for (int64_t i = 0; i < rows; i += lanes) {
    const int high = rows - i < lanes ? int(rows - i) : lanes;
    int64_t j = 0;
    for (; j + lanes <= columns && high == lanes; j += lanes) {
      Vec<T> v[lanes];
#pragma GCC unroll 16
      for (int k = 0; k < lanes; ++k) v[k] = load(src + (i + k) * src_stride + j);
      transpose_square<T>(v);
#pragma GCC unroll 16
      for (int k = 0; k < lanes; ++k) store(dst + dst_row(j + k) + i, v[k]);
    }
    for (; j < columns; j += lanes)
      transpose_corner(
          src + i * src_stride + j, src_stride, dst + i, [&](int64_t k) { return dst_row(j + k); }, high,
          columns - j < lanes ? int(columns - j) : lanes);
  }
}

template <class T>
void transpose(const T* src, ptrdiff_t src_stride, T* dst, ptrdiff_t dst_stride, int64_t rows,
               int64_t columns) {
  transpose_to(src, src_stride, dst, [=](int64_t j) { return j * dst_stride; }, rows, columns);
}

template <class T>
void transpose_rows(const T* src, ptrdiff_t src_stride, T* dst, const ptrdiff_t* dst_rows, int64_t rows,
                    int64_t columns) {
  transpose_to(src, src_stride, dst, [=](int64_t j) { return dst_rows[j]; }, rows, columns);
}

template <class T>
FASTCONV_INLINE void copy_row(const T* src, T* dst, int64_t n) {
  constexpr int lanes = kLanes<T>;
  int64_t j = 0;
  for (; j + lanes <= n; j += lanes) store(dst + j, load(src + j));
  if (j < n) store_partial(dst + j, load_partial(src + j, int(n - j)), int(n - j));
}

template <class T>
FASTCONV_INLINE void zero_row(T* dst, int64_t n) {
  constexpr int lanes = kLanes<T>;
  int64_t j = 0;
  for (; j + lanes <= n; j += lanes) store(dst + j, zero<T>());
  if (j < n) store_partial(dst + j, zero<T>(), int(n - j));
}

template <class T>
void copy(const T* src, ptrdiff_t src_stride, T* dst, ptrdiff_t dst_stride, int64_t rows, int64_t columns,
          int64_t width) {
  constexpr int line = 64 / int(sizeof(T));
  const int64_t ahead = columns < 4 * line ? 16 : 4;   // the rows of some 16 lines
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns && i + ahead < rows; j += line)
      __builtin_prefetch(src + (i + ahead) * src_stride + j);
    copy_row(src + i * src_stride, dst + i * dst_stride, columns);
    zero_row(dst + i * dst_stride + columns, width - columns);
  }
}

template <class T>
void copy_rows(const T* const* rows, ptrdiff_t offset, T* dst, ptrdiff_t dst_stride, int64_t count,
               int64_t columns) {
  constexpr int line = 64 / int(sizeof(T)), ahead = 2;
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < columns && i + ahead < count; j += line)
      __builtin_prefetch(rows[i + ahead] + offset + j);
    copy_row(rows[i] + offset, dst + i * dst_stride, columns);
  }
}

// Every second element; none after the last of them is read.
template <class T>
FASTCONV_INLINE void copy_even(const T* src, T* dst, int64_t n) {
  constexpr int lanes = kLanes<T>;
  int64_t j = 0;
  for (; j + lanes < n; j += lanes) store(dst + j, even_lanes<T>(load(src + 2 * j), load(src + 2 * j + lanes)));
  const int left = int(n - j), reach = 2 * left - 1;
  const Vec<T> low = load_partial(src + 2 * j, reach < lanes ? reach : lanes);
  const Vec<T> high = reach > lanes ? load_partial(src + 2 * j + lanes, reach - lanes) : zero<T>();
  store_partial(dst + j, even_lanes<T>(low, high), left);
}

template <class T>
void gather(const T* src, ptrdiff_t src_stride, T* dst, ptrdiff_t dst_stride, int64_t rows,
            const Segment* segments, int64_t segment_count, ptrdiff_t step) {
  constexpr int64_t line = 64 / int64_t(sizeof(T)), ahead = 4;
  for (int64_t i = 0; i < rows; ++i, src += src_stride, dst += dst_stride)
    for (int64_t k = 0; k < segment_count; ++k) {
      const Segment& piece = segments[k];
      for (int64_t j = 0; j < piece.length * step && piece.from >= 0 && i + ahead < rows; j += line)
        __builtin_prefetch(src + ahead * src_stride + piece.from + j);
      if (piece.from < 0)
        zero_row(dst + piece.to, piece.length);
      else if (step == 1)
        copy_row(src + piece.from, dst + piece.to, piece.length);
      else if (step == 2)
        copy_even(src + piece.from, dst + piece.to, piece.length);
      else
        for (int64_t j = 0; j < piece.length; ++j) dst[piece.to + j] = src[piece.from + j * step];
    }
}

// kCount vectors of rows [first, last), summed pairwise: rounding errors grow with the logarithm of the rows.
template <class T, int kCount>
void sum_rows(const T* src, ptrdiff_t src_stride, int64_t first, int64_t last, int count, Vec<T>* total) {
  if (last - first > 64) {
    const int64_t middle = first + (last - first) / 2;
    Vec<T> rest[kCount];
    sum_rows<T, kCount>(src, src_stride, first, middle, count, total);
    sum_rows<T, kCount>(src, src_stride, middle, last, count, rest);
    for (int v = 0; v < kCount; ++v) total[v] += rest[v];
    return;
  }
  Vec<T> sums[kCount] = {};
  for (int64_t i = first; i < last; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < kCount; ++v) sums[v] += take(src + i * src_stride + v * kLanes<T>, count);
  for (int v = 0; v < kCount; ++v) total[v] = sums[v];
}

template <class T, int kCount>
void add_columns(const T* src, ptrdiff_t src_stride, int64_t rows, int count, T* sum) {
  Vec<T> total[kCount];
  sum_rows<T, kCount>(src, src_stride, 0, rows, count, total);
  for (int v = 0; v < kCount; ++v) {
    T* const to = sum + v * kLanes<T>;
    put<false>(to, take(to, count) + total[v], count);
  }
}

// Whole lines at once: each comes from memory for one of its halves otherwise.
template <class T>
void add_rows(const T* src, ptrdiff_t src_stride, int64_t rows, int64_t columns, T* sum) {
  constexpr int lanes = kLanes<T>, together = 4;
  int64_t j = 0;
  for (; j + together * lanes <= columns; j += together * lanes)
    add_columns<T, together>(src + j, src_stride, rows, lanes, sum + j);
  for (; j < columns; j += lanes)
    add_columns<T, 1>(src + j, src_stride, rows, columns - j < lanes ? int(columns - j) : lanes, sum + j);
}

template <class T>
T sum(const T* src, int64_t n) {
  constexpr int lanes = kLanes<T>;
  Vec<T> part[4] = {};
  int64_t j = 0;
  while (j + 4 * lanes <= n) {
    Vec<T> block[4] = {};
    for (int i = 0; i < 64 && j + 4 * lanes <= n; ++i, j += 4 * lanes)
      for (int k = 0; k < 4; ++k) block[k] += load(src + j + k * lanes);
    for (int k = 0; k < 4; ++k) part[k] += block[k];
  }
  for (; j < n; j += lanes) part[0] += load_partial(src + j, n - j < lanes ? int(n - j) : lanes);
  return reduce_add<T>((part[0] + part[1]) + (part[2] + part[3]));
}

}   // namespace

template <class T>
PackKernels<T> pack_kernels() {
  return {transpose<T>, transpose_rows<T>, copy<T>, copy_rows<T>, gather<T>, add_rows<T>, sum<T>};
}
template PackKernels<float> pack_kernels();
template PackKernels<double> pack_kernels();

}   // namespace fastconv::cpu::FASTCONV_ISA
