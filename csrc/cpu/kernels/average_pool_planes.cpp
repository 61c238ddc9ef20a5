// Average pooling, NCHW. The rows of a window are added up into a line, vectors of columns at a time, and
// neighbours in the line then: as vectors where windows are alike, else window by window. Backward the same
// with what the windows pass on. Lines of several rows are filled before they are read: a load across two
// recent stores waits.
#include "average_pool.hpp"
#include "rows_out.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

constexpr int64_t kResults = 512;                               // of a row at a time
constexpr int64_t kLine = 2 * kResults + 2 * kEvenKernel;       // cells of one line
constexpr int64_t kAhead = 512;                                 // elements fetched ahead
constexpr int64_t kBesides = 4 * 64 / int64_t(sizeof(float));   // vectors run over the end

template <class T>
struct Lines {
  static constexpr int64_t kCells = (16 << 10) / int64_t(sizeof(T));
  static_assert(kCells >= kLine);
  alignas(kVectorBytes) T cell[kCells + kBesides];
};

FASTCONV_INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
FASTCONV_INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

template <class T>
FASTCONV_INLINE Vec<T> load_up_to(const T* p, int64_t count) {
  return count >= kLanes<T> ? load(p) : load_partial(p, int(count));
}
// `count` lanes, or all of them where what is behind, up to `room`, is written later.
template <class T>
FASTCONV_INLINE void store_up_to(T* p, Vec<T> v, int64_t count, int64_t room) {
  room >= kLanes<T> ? store(p, v) : store_partial(p, v, int(count));
}
template <class T>
FASTCONV_INLINE void clear(T* p, int64_t count) {
  for (int64_t i = 0; i < count; ++i) p[i] = 0;
}

// The sum of consecutive elements, of many in blocks that start from zero.
template <class T>
__attribute__((noinline)) T sum_of_many(const T* x, int64_t count) {
  constexpr int n = kLanes<T>;
  Vec<T> total = zero<T>();
  while (count > 0) {
    const int64_t block = least(count, 128 * n);
    Vec<T> sum = zero<T>();
    for (int64_t i = 0; i < block; i += n) sum += load_up_to(x + i, block - i);
    total += sum;
    x += block;
    count -= block;
  }
  return reduce_add<T>(total);
}
template <class T>
FASTCONV_INLINE T sum_of(const T* x, int64_t count) {
  if (count >= 2 * kLanes<T>) return sum_of_many(x, count);
  T sum = x[0];
  for (int64_t i = 1; i < count; ++i) sum += x[i];
  return sum;
}

// A row of results: its plane, and where it lies there.
struct Place {
  int64_t plane, outer, inner;
  const int64_t* extents;

  Place(int64_t row, const int64_t (&of)[3])
      : plane(row / of[1] / of[0]), outer(row / of[1] % of[0]), inner(row % of[1]), extents(of) {}
  FASTCONV_INLINE void next() {
    if (++inner < extents[1]) return;
    inner = 0;
    if (++outer < extents[0]) return;
    outer = 0;
    ++plane;
  }
};

// Results [first, first + count) of a row, and the columns [begin, end) of the other side that they need; those
// outside are zeros.
struct Piece {
  int64_t first, count, begin, end;
};

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

template <class T>
struct Shares {
  const MeanWindows<T>& w;
  const T* grad;
  // One over the divisors of the windows [first, first + count) of a row, where its other factors are `outer`.
  mutable T share[kLine + kBesides];
  mutable T outer = 0;   // no divisor is 0
  mutable int64_t first = 0, count = 0;

  const int64_t (&results() const)[3] { return w.input; }
  const Span* spans() const { return w.windows[2]; }
  int64_t columns() const { return w.output[2]; }
  // Whether the row before, of the same slice, is held by the same windows.
  FASTCONV_INLINE bool alike(const Place& place) const {
    if (place.inner == 0) return false;
    const Span here = w.windows[1][place.inner], before = w.windows[1][place.inner - 1];
    return here.begin == before.begin && here.end == before.end;
  }

  Piece even(int64_t from, int64_t results) const {
    const int64_t at = from + w.padding, taps = (w.kernel + w.stride - 1) / w.stride;
    return {from, results, at / w.stride - (taps - 1), (at + results - 1) / w.stride + 1};
  }

  // line[c] = the sum over the rows of the windows that hold `place` of what window `from` + c passes on.
  FASTCONV_INLINE void fill(const Place& place, int64_t from, int64_t windows, T* line) const {
    const Span d = w.windows[0][place.outer], h = w.windows[1][place.inner];
    if (d.begin >= d.end || h.begin >= h.end) return clear(line, windows);
    const int64_t width = w.output[2];
    const T* counts = w.counts[1];
    for (int64_t i = d.begin; i < d.end; ++i) {
      const T* row = grad + (((place.plane * w.output[0] + i) * w.output[1] + h.begin) * width + from);
      for (int64_t j = h.begin, rows; j < h.end; j += rows, row += rows * width) {
        for (rows = 1; rows < 3 && j + rows < h.end && counts[j + rows] == counts[j];) ++rows;
        prepare(w.counts[0][i] * counts[j], from, windows);
        const bool begun = i > d.begin || j > h.begin;
        if (rows == 1) add_rows<1>(row, windows, begun, line);
        if (rows == 2) add_rows<2>(row, windows, begun, line);
        if (rows == 3) add_rows<3>(row, windows, begun, line);
      }
    }
  }
  template <int kRows>
  FASTCONV_INLINE void add_rows(const T* row, int64_t windows, bool begun, T* line) const {
    constexpr int n = kLanes<T>;
    const int64_t width = w.output[2];
    int64_t c = 0;
    for (; c + n <= windows; c += n) {
      Vec<T> sum = begun ? load(line + c) : zero<T>();
#pragma GCC unroll 3
      for (int j = 0; j < kRows; ++j) sum += load(row + j * width + c) * load(share + c);
      store(line + c, sum);
    }
    if (c == windows) return;
    Vec<T> sum = begun ? load(line + c) : zero<T>();
    for (int j = 0; j < kRows; ++j)
      sum += load_partial(row + j * width + c, int(windows - c)) * load(share + c);
    store(line + c, sum);
  }
  FASTCONV_INLINE void prepare(T of_rows, int64_t from, int64_t windows) const {
    if (of_rows == outer && from == first && windows == count) return;
    outer = of_rows, first = from, count = windows;
    for (int64_t c = 0; c < windows; c += kLanes<T>)
      store(share + c, T(1) / (load(w.counts[2] + from + c) * outer));
  }

  template <int kStride>
  FASTCONV_INLINE void finish_even(const Place&, const Piece& piece, const T* line, T* dx, int64_t room) const {
    // Cells of residue r begin with window first[r] of the line, and so many hold each.
    const T* first[2];
    int64_t held[2] = {0, 0};
    for (int r = 0; r < kStride; ++r) {
      const int64_t at = piece.first + w.padding + r;
      held[r] = (w.kernel - at % kStride + kStride - 1) / kStride;
      first[r] = line + (at / kStride - piece.begin - held[r] + 1);
    }
    if constexpr (kStride == 1) {
      if (held[0] == 2) return finish_held<2>(piece.count, first[0], held[0], dx, room);
      if (held[0] == 3) return finish_held<3>(piece.count, first[0], held[0], dx, room);
      finish_held<0>(piece.count, first[0], held[0], dx, room);
    } else {
      if (held[0] == 1 && held[1] == 1) return finish_held<1, 1>(piece.count, first, held, dx, room);
      if (held[0] == 2 && held[1] == 1) return finish_held<2, 1>(piece.count, first, held, dx, room);
      if (held[0] == 1 && held[1] == 2) return finish_held<1, 2>(piece.count, first, held, dx, room);
      finish_held<0, 0>(piece.count, first, held, dx, room);
    }
  }
  // kHeld 0: any number of windows.
  template <int kHeld>
  FASTCONV_INLINE static Vec<T> sum_held(const T* from, int64_t held) {
    if (kHeld > 0) held = kHeld;
    Vec<T> sum = kHeld > 0 ? load(from) : zero<T>();
#pragma GCC unroll 2
    for (int64_t k = kHeld > 0; k < held; ++k) sum += load(from + k);
    return sum;
  }
  template <int kHeld>
  FASTCONV_INLINE static void finish_held(int64_t results, const T* from, int64_t held, T* dx, int64_t room) {
    for (int64_t c = 0; c < results; c += kLanes<T>)
      store_up_to(dx + c, sum_held<kHeld>(from + c, held), results - c, room - c);
  }
  template <int kEven, int kOdd>
  FASTCONV_INLINE static void finish_held(int64_t results, const T* const (&first)[2], const int64_t (&held)[2],
                                          T* dx, int64_t room) {
    constexpr int n = kLanes<T>;
    const T *even = first[0], *odd = first[1];
    const int64_t evens = held[0], odds = held[1];
    for (int64_t c = 0; c < results; c += 2 * n, even += n, odd += n) {
      Vec<T> low, high;
      interleave<T>(sum_held<kEven>(even, evens), sum_held<kOdd>(odd, odds), low, high);
      store_up_to(dx + c, low, results - c, room - c);
      if (results - c > n) store_up_to(dx + c + n, high, results - c - n, room - c - n);
    }
  }
  void finish_any(const Place&, const Piece& piece, const T* line, T* dx) const {
    for (int64_t i = 0; i < piece.count; ++i) {
      const Span at = w.windows[2][piece.first + i];
      if (at.end - at.begin == 1) {
        dx[i] = line[at.begin - piece.begin];
        continue;
      }
      T sum = 0;
      for (int64_t k = at.begin; k < at.end; ++k) sum += line[k - piece.begin];
      dx[i] = sum;
    }
  }
  // One cell, that more windows hold than a line does.
  void finish_wide(const Place& place, const Piece& piece, T* line, T* dx) const {
    T total = 0;
    for (int64_t from = piece.begin; from < piece.end; from += kLine) {
      const int64_t windows = least(piece.end - from, kLine);
      fill(place, from, windows, line);
      total += sum_of(line, windows);
    }
    *dx = total;
  }
};

// The results from `first` on that a line serves; kStride 0: of any windows.
template <int kStride, class Pass>
Piece piece_from(const Pass& pass, int64_t first) {
  const int64_t end = least(pass.results()[2], first + kResults);
  if (kStride > 0) return pass.even(first, end - first);
  const Span* spans = pass.spans();
  int64_t last = first;
  while (last + 1 < end && spans[last + 1].end - spans[first].begin <= kLine) ++last;
  return {first, last + 1 - first, spans[first].begin, spans[last].end};
}

template <int kStride, class T, class Pass>
void for_rows(const Pass& pass, T* to, int64_t begin, int64_t end, bool past_caches) {
  constexpr int n = kLanes<T>;
  const int64_t width = pass.results()[2];
  const Piece first = piece_from<kStride>(pass, 0);
  const int64_t pitch = (first.end - first.begin + n - 1) / n * n + 3 * n;
  const int64_t together =
      first.count < width ? 1 : most(1, least(Lines<T>::kCells / pitch, RowsOut<T>::kBurst / width));
  Lines<T> lines;
  RowsOut<T> out(to, past_caches);
  Place place(begin, pass.results());
  for (int64_t row = begin; row < end; row += together) {
    const int64_t rows = least(together, end - row);
    Place at = place;
    for (Piece piece = first; piece.count > 0;) {
      const bool wide = kStride == 0 && piece.end - piece.begin > kLine;
      const int64_t inside = most(piece.begin, 0), stop = most(inside, least(piece.end, pass.columns()));
      T* line = lines.cell;
      at = place;
      for (int64_t r = 0; r < rows && !wide; ++r, at.next()) {
        if (r > 0 && pass.alike(at)) continue;
        clear(line, inside - piece.begin);
        pass.fill(at, inside, stop - inside, line + (inside - piece.begin));
        clear(line + (stop - piece.begin), piece.end - stop);
        line += pitch;
      }
      T* y = out.next(rows * piece.count);
      line = lines.cell - pitch;
      at = place;
      for (int64_t r = 0; r < rows; ++r, at.next(), y += piece.count) {
        if (r > 0 && pass.alike(at)) {
          __builtin_memcpy(y, y - piece.count, size_t(piece.count) * sizeof(T));
          continue;
        }
        line += pitch;
        if constexpr (kStride > 0)
          pass.template finish_even<kStride>(at, piece, line, y, (rows - r) * piece.count);
        else
          wide ? pass.finish_wide(at, piece, lines.cell, y) : pass.finish_any(at, piece, line, y);
      }
      if (piece.first + piece.count == width) break;
      piece = piece_from<kStride>(pass, piece.first + piece.count);
    }
    place = at;
  }
  out.finish();
}

template <class T, class Pass>
void choose_rows(const MeanWindows<T>& w, const Pass& pass, T* to, int64_t begin, int64_t end,
                 bool past_caches) {
  if (w.kernel == 0) return for_rows<0>(pass, to, begin, end, past_caches);
  w.stride == 1 ? for_rows<1>(pass, to, begin, end, past_caches)
                : for_rows<2>(pass, to, begin, end, past_caches);
}

}   // namespace

template <class T>
void average_rows(const MeanWindows<T>& windows, const T* x, T* y, int64_t begin, int64_t end,
                  bool past_caches) {
  const MeanWindows<T> w = windows;   // a copy, which no store below can alias
  choose_rows(w, Means<T>{w, x}, y, begin, end, past_caches);
}

template <class T>
void average_rows_backward(const MeanWindows<T>& windows, const T* grad, T* dx, int64_t begin, int64_t end,
                           bool past_caches) {
  const MeanWindows<T> w = windows;
  choose_rows(w, Shares<T>{w, grad, {}}, dx, begin, end, past_caches);
}

template void average_rows(const MeanWindows<float>&, const float*, float*, int64_t, int64_t, bool);
template void average_rows(const MeanWindows<double>&, const double*, double*, int64_t, int64_t, bool);
template void average_rows_backward(const MeanWindows<float>&, const float*, float*, int64_t, int64_t, bool);
template void average_rows_backward(const MeanWindows<double>&, const double*, double*, int64_t, int64_t, bool);

}   // namespace fastconv::cpu::FASTCONV_ISA
