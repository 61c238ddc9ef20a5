// A row of means from lines of sums (average_pool_planes.cpp).
#pragma once

#include "average_pool_lines.hpp"
#include "lanes.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

template <class T>
struct Means {
  const MeanWindows<T>& w;
  const T* x;

  const int64_t (&results() const)[3] { return w.output; }
  const Span* spans() const { return w.cells[2]; }
  int64_t columns() const { return w.input[2]; }
  bool alike(const Place&) const { return false; }

  Piece even(int64_t first, int64_t count) const {
    const int64_t begin = first * w.stride - w.padding;
    return {first, count, begin, begin + (count - 1) * w.stride + w.kernel};
  }

  // line[c] = the sum over the rows of the windows at `place` of column `first` + c.
  FASTCONV_INLINE void fill(const Place& place, int64_t first, int64_t count, T* line) const {
    const Span d = w.cells[0][place.outer], h = w.cells[1][place.inner];
    const T* row = x + (((place.plane * w.input[0] + d.begin) * w.input[1] + h.begin) * w.input[2] + first);
    const int64_t rows = d.end - d.begin == 1 ? h.end - h.begin : 0;
    if (rows == 1) return add_rows<1>(row, count, line);
    if (rows == 2) return add_rows<2>(row, count, line);
    if (rows == 3) return add_rows<3>(row, count, line);
    constexpr int n = kLanes<T>;
    int64_t c = 0;
    for (; c + 4 * n <= count; c += 4 * n) add_columns<4>(row + c, d, h, 4 * n, line + c);
    for (; c < count; c += n) add_columns<1>(row + c, d, h, count - c, line + c);
  }
  template <int kRows>
  FASTCONV_INLINE void add_rows(const T* row, int64_t count, T* line) const {
    constexpr int n = kLanes<T>;
    const int64_t width = w.input[2];
    int64_t c = 0;
    for (; c + n <= count; c += n) {
      __builtin_prefetch(row + c + kAhead);
      Vec<T> sum = load(row + c);
#pragma GCC unroll 3
      for (int j = 1; j < kRows; ++j) {
        __builtin_prefetch(row + j * width + c + kAhead);
        sum += load(row + j * width + c);
      }
      store(line + c, sum);
    }
    if (c == count) return;
    Vec<T> sum = load_partial(row + c, int(count - c));
    for (int j = 1; j < kRows; ++j) sum += load_partial(row + j * width + c, int(count - c));
    store(line + c, sum);
  }
  template <int kVectors>
  FASTCONV_INLINE void add_columns(const T* first, const Span& d, const Span& h, int64_t count, T* line) const {
    constexpr int n = kLanes<T>;
    Vec<T> sum[kVectors] = {};
    for (int64_t i = 0; i < d.end - d.begin; ++i) {
      const T* row = first + i * w.input[1] * w.input[2];
      for (int64_t j = h.begin; j < h.end; ++j, row += w.input[2])
#pragma GCC unroll 4
        for (int u = 0; u < kVectors; ++u) sum[u] += kVectors > 1 ? load(row + u * n) : load_up_to(row, count);
    }
#pragma GCC unroll 4
    for (int u = 0; u < kVectors; ++u) store(line + u * n, sum[u]);
  }

  template <int kStride>
  FASTCONV_INLINE void finish_even(const Place& place, const Piece& piece, const T* line, T* y,
                                   int64_t room) const {
    if (w.kernel == 2) return finish_kernel<kStride, 2>(place, piece, line, y, room);
    if (w.kernel == 3) return finish_kernel<kStride, 3>(place, piece, line, y, room);
    finish_kernel<kStride, 0>(place, piece, line, y, room);
  }
  // kKernel 0: any.
  template <int kStride, int kKernel>
  FASTCONV_INLINE void finish_kernel(const Place& place, const Piece& piece, const T* line, T* y,
                                     int64_t room) const {
    constexpr int n = kLanes<T>;
    const Vec<T> outer = broadcast(w.counts[0][place.outer] * w.counts[1][place.inner]);
    const T* counts = w.counts[2] + piece.first;
    const int64_t results = piece.count, kernel = kKernel > 0 ? kKernel : w.kernel;
    const auto tap = [&](const T* from) __attribute__((always_inline)) {
      return kStride == 1 ? load(from) : every_second<T>(load(from), load(from + n - 1));
    };
    for (int64_t c = 0; c < results; c += n) {
      const T* from = line + c * kStride;
      Vec<T> sum = tap(from);
#pragma GCC unroll 2
      for (int64_t k = 1; k < kernel; ++k) sum += tap(from + k);
      store_up_to(y + c, sum / (load(counts + c) * outer), results - c, room - c);
    }
  }
  void finish_any(const Place& place, const Piece& piece, const T* line, T* y) const {
    const T outer = w.counts[0][place.outer] * w.counts[1][place.inner];
    for (int64_t i = 0; i < piece.count; ++i) {
      const Span at = w.cells[2][piece.first + i];
      y[i] = sum_of(line + (at.begin - piece.begin), at.end - at.begin);
    }
    for (int64_t i = 0; i < piece.count; ++i) y[i] /= w.counts[2][piece.first + i] * outer;
  }
  // One window, of more columns than a line.
  void finish_wide(const Place& place, const Piece& piece, T*, T* y) const {
    const Span d = w.cells[0][place.outer], h = w.cells[1][place.inner];
    T total = 0;
    for (int64_t i = d.begin; i < d.end; ++i)
      for (int64_t j = h.begin; j < h.end; ++j)
        total += sum_of(x + (((place.plane * w.input[0] + i) * w.input[1] + j) * w.input[2] + piece.begin),
                        piece.end - piece.begin);
    *y = total / (w.counts[2][piece.first] * (w.counts[0][place.outer] * w.counts[1][place.inner]));
  }
};

}   // namespace
}   // namespace fastconv::cpu::FASTCONV_ISA
