// Average pooling, NCHW. The rows of a window are added up into a line, vectors of columns at a time, and
// neighbours in the line then: as vectors where windows are alike, else window by window. Backward the same
// with what the windows pass on. Lines of several rows are filled before they are read: a load across two
// recent stores waits.
#include "average_pool_means.hpp"
#include "average_pool_shares.hpp"
#include "rows_out.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

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
