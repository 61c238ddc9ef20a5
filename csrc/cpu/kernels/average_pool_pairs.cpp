// Average pooling of narrow planes, NCHW, whose windows are pairs of columns side by side, all of one divisor.
// Rows are shorter than vectors: sums of the rows of many windows are put one behind the other, and what is so
// a single row has its pairs added up.
#include "average_pool_lines.hpp"
#include "rows_out.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

constexpr int64_t kCells = 2048;   // columns put together

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

// A row of gradients, of each window's twice; columns that no window holds are 0.
template <class T>
FASTCONV_INLINE void share_rows(const MeanWindows<T>& w, const Place& place, const T* grad, T share, T* dx,
                                int64_t room) {
  constexpr int n = kLanes<T>;
  const Span d = w.windows[0][place.outer], h = w.windows[1][place.inner];
  const int64_t results = w.output[2], columns = 2 * results;
  for (int64_t c = 0; c < results; c += n) {
    Vec<T> sum = zero<T>(), low, high;
    for (int64_t i = d.begin; i < d.end; ++i)
      for (int64_t j = h.begin; j < h.end; ++j)
        sum +=
            load_up_to(grad + ((place.plane * w.output[0] + i) * w.output[1] + j) * results + c, results - c);
    sum *= share;
    interleave<T>(sum, sum, low, high);
    store_up_to(dx + 2 * c, low, columns - 2 * c, room - 2 * c);
    if (columns - 2 * c > n) store_up_to(dx + 2 * c + n, high, columns - 2 * c - n, room - 2 * c - n);
  }
  clear(dx + columns, w.input[2] - columns);
}

FASTCONV_INLINE bool same(const Span& a, const Span& b) { return a.begin == b.begin && a.end == b.end; }

}   // namespace

template <class T>
void average_pairs(const MeanWindows<T>& windows, const T* x, T* y, int64_t begin, int64_t end,
                   bool past_caches) {
  constexpr int n = kLanes<T>;
  const MeanWindows<T> w = windows;   // a copy, which no store below can alias
  const int64_t results = w.output[2], columns = 2 * results, together = most(1, kCells / columns);
  const T divisor = w.divisor;
  alignas(kVectorBytes) T line[kCells + 2 * n];
  RowsOut<T> out(y, past_caches);
  Place place(begin, w.output);
  for (int64_t row = begin; row < end; row += together) {
    const int64_t rows = least(together, end - row), count = rows * results;
    for (int64_t r = 0; r < rows; ++r, place.next()) add_rows(w, place, x, columns, line + r * columns);
    T* to = out.next(count);
    for (int64_t c = 0; c < count; c += n) {
      const T* from = line + 2 * c;
      const Vec<T> low = load(from) + load(from + 1), high = load(from + n - 1) + load(from + n);
      store_up_to(to + c, every_second<T>(low, high) / divisor, count - c, count - c);
    }
  }
  out.finish();
}

template <class T>
void average_pairs_backward(const MeanWindows<T>& windows, const T* grad, T* dx, int64_t begin, int64_t end,
                            bool past_caches) {
  const MeanWindows<T> w = windows;
  const int64_t width = w.input[2], together = most(1, RowsOut<T>::kBurst / width);
  const T share = T(1) / w.divisor;
  RowsOut<T> out(dx, past_caches);
  Place place(begin, w.input);
  for (int64_t row = begin; row < end; row += together) {
    const int64_t rows = least(together, end - row);
    T* to = out.next(rows * width);
    for (int64_t r = 0; r < rows; ++r, to += width, place.next()) {
      const Span* spans = w.windows[1] + place.inner;
      const int64_t room = (rows - r) * width;
      if (r == 0 || place.inner == 0 || !same(spans[0], spans[-1])) {
        share_rows(w, place, grad, share, to, room);
        continue;
      }
      for (int64_t c = 0; c < width; c += kLanes<T>)   // the row before, once more
        store_up_to(to + c, load_up_to(to - width + c, width - c), width - c, room - c);
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
