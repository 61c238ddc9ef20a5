// Average pooling of narrow planes, NCHW, whose windows are pairs of columns side by side.
// Rows are shorter than vectors: sums of the rows of many windows are put one behind the other, and what is so
// a single row has its pairs added up.
#include "average_pool_lines.hpp"
#include "rows_out.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

constexpr int64_t kCells = 2048;   // columns put together

// Of the windows of a row, all of which hold two columns.
template <class T>
FASTCONV_INLINE T divisor_of(const MeanWindows<T>& w, int64_t outer, int64_t inner) {
  return w.divisor != 0 ? w.divisor : w.counts[2][0] * (w.counts[0][outer] * w.counts[1][inner]);
}

// line[c] = the sum over the rows of the windows at `place` of column c; writes up to a vector more.
template <class T>
FASTCONV_INLINE void add_rows(const MeanWindows<T>& w, const Place& place, const T* x, int64_t columns,
                              T* line) {
  const Span d = w.cells[0][place.outer], h = w.cells[1][place.inner];
  const int64_t width = w.input[2];
  const T* first = x + ((place.plane * w.input[0] + d.begin) * w.input[1] + h.begin) * width;
  __builtin_prefetch(first + kAhead);
  const bool two = d.end - d.begin == 1 && h.end - h.begin == 2;
  for (int64_t c = 0; c < columns; c += kLanes<T>) {
    if (two) {
      store(line + c, load_up_to(first + c, columns - c) + load_up_to(first + width + c, columns - c));
      continue;
    }
    Vec<T> sum = zero<T>();
    for (int64_t i = 0; i < d.end - d.begin; ++i)
      for (int64_t j = 0; j < h.end - h.begin; ++j)
        sum += load_up_to(first + (i * w.input[1] + j) * width + c, columns - c);
    store(line + c, sum);
  }
}

// kRows rows of gradients, each sum of gradients twice; columns that no window holds are 0. sum_at(c): from the
// c-th on. What a vector writes behind its row is written again: by the next row, whose first columns come
// last, or later.
template <int kRows, class T, class Sum>
FASTCONV_INLINE void put_pairs(Sum sum_at, int64_t results, int64_t width, T* dx, int64_t room) {
  constexpr int n = kLanes<T>;
  const int64_t columns = 2 * results;
  for (int64_t c = (results - 1) / n * n; c >= 0; c -= n) {
    const Vec<T> sum = sum_at(c);
    Vec<T> low, high;
    interleave<T>(sum, sum, low, high);
#pragma GCC unroll 2
    for (int r = 0; r < kRows; ++r) {
      T* to = dx + r * width + 2 * c;
      const int64_t left = columns - 2 * c, rest = room - r * width - 2 * c;
      store_up_to(to, low, left, rest);
      if (left > n) store_up_to(to + n, high, left - n, rest - n);
      if (left <= 2 * n && width > columns) clear(to + left, width - columns);
    }
  }
}

// kRows rows of gradients that the same windows hold. behind: gradients that may be read behind those.
template <int kRows, class T>
FASTCONV_INLINE void share_rows(const MeanWindows<T>& w, const Place& place, const T* grad, int64_t behind,
                                T* dx, int64_t room) {
  const Span d = w.windows[0][place.outer], h = w.windows[1][place.inner];
  const int64_t results = w.output[2];
  const auto sum_at = [&](int64_t c) FASTCONV_LAMBDA {
    Vec<T> sum = zero<T>();
    for (int64_t i = d.begin; i < d.end; ++i)
      for (int64_t j = h.begin; j < h.end; ++j)
        sum += load_up_to(grad + ((place.plane * w.output[0] + i) * w.output[1] + j) * results + c,
                          results - c + behind) *
               (T(1) / divisor_of(w, i, j));
    return sum;
  };
  put_pairs<kRows>(sum_at, results, w.input[2], dx, room);
}

// Whether windows hold two rows each, from the first on, and have one divisor.
template <class T>
bool pairs_of_rows(const MeanWindows<T>& w) {
  if (w.divisor == 0 || w.input[0] > 1 || w.output[0] > 1 || w.windows[0][0].end != 1 ||
      2 * w.output[1] > w.input[1])
    return false;
  for (int64_t i = 0; i < w.input[1]; ++i) {
    const Span h = w.windows[1][i];
    if (i < 2 * w.output[1] ? h.begin != i / 2 || h.end != i / 2 + 1 : h.begin != h.end) return false;
  }
  return true;
}

FASTCONV_INLINE bool same(const Span& a, const Span& b) { return a.begin == b.begin && a.end == b.end; }

}   // namespace

template <class T>
void average_pairs(const MeanWindows<T>& windows, const T* x, T* y, int64_t begin, int64_t end,
                   bool past_caches) {
  constexpr int n = kLanes<T>;
  const MeanWindows<T> w = windows;   // a copy, which no store below can alias
  const int64_t results = w.output[2], columns = 2 * results, together = most(1, kCells / columns);
  const bool one = w.divisor != 0;
  alignas(kVectorBytes) T line[kCells + 2 * n], divisors[kCells / 2 + 2 * n];
  RowsOut<T> out(y, past_caches);
  Place place(begin, w.output);
  for (int64_t row = begin; row < end; row += together) {
    const int64_t rows = least(together, end - row), count = rows * results;
    for (int64_t r = 0; r < rows; ++r, place.next()) {
      add_rows(w, place, x, columns, line + r * columns);
      for (int64_t c = 0; !one && c < results; c += n)
        store(divisors + r * results + c, broadcast(divisor_of(w, place.outer, place.inner)));
    }
    T* to = out.next(count);
    for (int64_t c = 0; c < count; c += n) {
      const T* from = line + 2 * c;
      const Vec<T> low = load(from) + load(from + 1), high = load(from + n - 1) + load(from + n);
      const Vec<T> by = one ? broadcast(w.divisor) : load(divisors + c);
      store_up_to(to + c, every_second<T>(low, high) / by, count - c, count - c);
    }
  }
  out.finish();
}

template <class T>
void average_pairs_backward(const MeanWindows<T>& windows, const T* grad, T* dx, int64_t begin, int64_t end,
                            bool past_caches) {
  const MeanWindows<T> w = windows;
  const int64_t width = w.input[2], together = most(1, RowsOut<T>::kBurst / width);
  const int64_t last = Place(end - 1, w.input).plane, results = w.output[2];
  const int64_t plane = w.output[0] * w.output[1] * results;
  const bool square = pairs_of_rows(w);
  const T share = T(1) / w.divisor;
  RowsOut<T> out(dx, past_caches);
  Place place(begin, w.input);
  for (int64_t row = begin; row < end; row += together) {
    const int64_t rows = least(together, end - row);
    T* to = out.next(rows * width);
    for (int64_t r = 0, alike; r < rows; r += alike) {
      const Span* spans = w.windows[1] + place.inner;
      int64_t room = (rows - r) * width, behind = (last - place.plane) * plane;
      const int64_t left = w.output[1] - place.inner / 2;
      if (square && place.inner % 2 == 0 && left > 0 && r + 1 < rows) {
        const T* from = grad + place.plane * plane + place.inner / 2 * results;
        alike = 2 * least(left, (rows - r) / 2);
        behind += left * results;
        for (int64_t k = 0; k < alike; k += 2, from += results, to += 2 * width, room -= 2 * width) {
          behind -= results;
          __builtin_prefetch(from + kAhead);
          put_pairs<2>([&](int64_t c)
                           FASTCONV_LAMBDA { return load_up_to(from + c, results - c + behind) * share; },
                       results, width, to, room);
        }
      } else {
        alike = r + 1 < rows && place.inner + 1 < w.input[1] && same(spans[0], spans[1]) ? 2 : 1;
        alike == 2 ? share_rows<2>(w, place, grad, behind, to, room)
                   : share_rows<1>(w, place, grad, behind, to, room);
        to += alike * width;
      }
      place.inner += alike - 1;
      place.next();
    }
  }
  out.finish();
}

template void average_pairs(const MeanWindows<float>&, const float*, float*, int64_t, int64_t, bool);
template void average_pairs(const MeanWindows<double>&, const double*, double*, int64_t, int64_t, bool);
template void average_pairs_backward(const MeanWindows<float>&, const float*, float*, int64_t, int64_t, bool);
template void average_pairs_backward(const MeanWindows<double>&, const double*, double*, int64_t, int64_t,
                                     bool);

}   // namespace fastconv::cpu::FASTCONV_ISA
