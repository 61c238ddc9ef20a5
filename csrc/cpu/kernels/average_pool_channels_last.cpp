// Average pooling, channels last: vectors of channels.
#include "average_pool.hpp"
#include "lanes.hpp"
#include "rows_out.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// Cells of a row that are summed up from zero, channels that a result takes at a time, and cells of a window
// that are too many to be read anew for every few vectors of channels. Of those kTogether are summed up in
// registers: sums in memory that are loaded and stored for every cell wait, where they lie as cells do but for
// a multiple of 4 KB.
constexpr int64_t kSummedCells = 128, kPiece = 1024, kManyCells = 16, kTogether = 8;
constexpr int64_t kWideCell = 1024;   // bytes: the next ones are fetched where they come from memory
constexpr int kMostVectors = kVectorBytes == 64 ? 4 : 8;   // 256 bytes of channels

template <int kVectors>
struct Vectors {
  static constexpr int count = kVectors;
};
template <bool kValue>
struct Even {
  static constexpr bool value = kValue;
};
// Calls block(c, lanes of the last vector, vectors) over `count` channels.
template <class T, class Block>
FASTCONV_INLINE void for_vectors(int64_t count, Block block) {
  constexpr int n = kLanes<T>;
  int64_t c = 0;
  for (; c + kMostVectors * n <= count; c += kMostVectors * n) block(c, n, Vectors<kMostVectors>{});
  for (; c + 2 * n <= count; c += 2 * n) block(c, n, Vectors<2>{});
  for (; c + n <= count; c += n) block(c, n, Vectors<1>{});
  if (c < count) block(c, int(count - c), Vectors<1>{});
}

// kVectors vectors of channels of one window's mean; `lanes` of the last one.
template <class T, int kVectors>
FASTCONV_INLINE void mean_block(const MeanWindows<T>& w, const T* image, int64_t channels, const Span (&at)[3],
                                T divisor, T* y, int lanes, Vectors<kVectors>) {
  constexpr int n = kLanes<T>;
  const int64_t cells = at[2].end - at[2].begin;
  Vec<T> sum[kVectors] = {};
  for (int64_t i = at[0].begin; i < at[0].end; ++i) {
    const T* row = image + ((i * w.input[1] + at[1].begin) * w.input[2] + at[2].begin) * channels;
    for (int64_t j = at[1].begin; j < at[1].end; ++j, row += w.input[2] * channels) {
      const T* cell = row;
      for (int64_t k = 0; k < cells; ++k, cell += channels)
#pragma GCC unroll 8
        for (int u = 0; u < kVectors; ++u)
          sum[u] += lanes == n ? load(cell + u * n) : load_partial(cell + u * n, lanes);
    }
  }
#pragma GCC unroll 8
  for (int u = 0; u < kVectors; ++u) {
    const Vec<T> mean = sum[u] / divisor;
    lanes == n ? store(y + u * n, mean) : store_partial(y + u * n, mean, lanes);
  }
}

// The sums of `count` channels of neighbouring cells, added to those that have begun. kAhead: as many cells
// behind them are fetched.
template <bool kAhead, class T>
FASTCONV_INLINE void add_cells(const T* cell, int64_t channels, int64_t cells, int64_t count, bool begun,
                               T* sum) {
  constexpr int n = kLanes<T>;
  for_vectors<T>(count, [&](int64_t c, int lanes, auto vectors) FASTCONV_LAMBDA {
    constexpr int kVectors = vectors.count;
    Vec<T> of[kVectors] = {};
    const T* from = cell + c;
    for (int64_t k = 0; k < cells; ++k, from += channels) {
#pragma GCC unroll 8
      for (int u = 0; kAhead && u < kVectors; u += 64 / kVectorBytes)
        __builtin_prefetch(from + cells * channels + u * n);
#pragma GCC unroll 8
      for (int u = 0; u < kVectors; ++u) of[u] += lanes == n ? load(from + u * n) : load_partial(from, lanes);
    }
#pragma GCC unroll 8
    for (int u = 0; u < kVectors; ++u) store(sum + c + u * n, begun ? of[u] + load(sum + c + u * n) : of[u]);
  });
}

// mean_block of `count` channels, up to kPiece, and windows of many cells: memory is read in order, and rows
// are summed up from zero.
template <bool kAhead, class T>
void mean_of_many(const MeanWindows<T>& w, const T* image, int64_t channels, int64_t count, const Span (&at)[3],
                  T divisor, T* y) {
  constexpr int n = kLanes<T>;
  alignas(kVectorBytes) T sum[kPiece + n], total[kPiece + n];
  const int64_t together = count > kMostVectors * n ? kTogether : kSummedCells;
  bool begun = false;
  for (int64_t i = at[0].begin; i < at[0].end; ++i)
    for (int64_t j = at[1].begin; j < at[1].end; ++j) {
      const T* cell = image + ((i * w.input[1] + j) * w.input[2] + at[2].begin) * channels;
      for (int64_t left = at[2].end - at[2].begin; left > 0; left -= kSummedCells, begun = true) {
        const int64_t cells = left < kSummedCells ? left : kSummedCells;
        if (cells <= together) {
          add_cells<kAhead>(cell, channels, cells, count, begun, total);
          cell += cells * channels;
          continue;
        }
        for (int64_t k = 0; k < cells; k += together, cell += together * channels)
          add_cells<kAhead>(cell, channels, cells - k < together ? cells - k : together, count, k > 0, sum);
        for (int64_t c = 0; c < count; c += n)
          store(total + c, begun ? load(total + c) + load(sum + c) : load(sum + c));
      }
    }
  for (int64_t c = 0; c < count; c += n) {
    const Vec<T> mean = load(total + c) / divisor;
    count - c >= n ? store(y + c, mean) : store_partial(y + c, mean, int(count - c));
  }
}

// The last divisor, and one over it.
template <class T>
struct Share {
  T divisor = 1, value = 1;

  FASTCONV_INLINE T of(T by) {
    if (by != divisor) divisor = by, value = T(1) / by;
    return value;
  }
};

// kVectors vectors of channels of one cell's gradient. kEven: all windows pass on the share `even`.
template <bool kEven, class T, int kVectors>
FASTCONV_INLINE void share_block(const MeanWindows<T>& w, const T* image, int64_t channels, const Span (&at)[3],
                                 T even, Share<T>& share, T* dx, int lanes, Vectors<kVectors>) {
  constexpr int n = kLanes<T>;
  Vec<T> sum[kVectors] = {};
  for (int64_t i = at[0].begin; i < at[0].end; ++i)
    for (int64_t j = at[1].begin; j < at[1].end; ++j) {
      const T* grad = image + ((i * w.output[1] + j) * w.output[2] + at[2].begin) * channels;
      for (int64_t k = at[2].begin; k < at[2].end; ++k, grad += channels) {
        const T part = kEven ? 1 : share.of(w.counts[2][k] * (w.counts[0][i] * w.counts[1][j]));
#pragma GCC unroll 8
        for (int u = 0; u < kVectors; ++u) {
          const Vec<T> g = lanes == n ? load(grad + u * n) : load_partial(grad + u * n, lanes);
          sum[u] += kEven ? g : g * part;
        }
      }
    }
#pragma GCC unroll 8
  for (int u = 0; u < kVectors; ++u) {
    const Vec<T> total = kEven ? sum[u] * even : sum[u];
    lanes == n ? store(dx + u * n, total) : store_partial(dx + u * n, total, lanes);
  }
}

// Fetches `channels` of the cells of a box, which the box before it did not have, from some way ahead.
template <class T>
FASTCONV_INLINE void fetch(const T* image, const int64_t (&extents)[3], int64_t channels, const Span (&at)[3],
                           const Span& rows, const Span& columns) {
  constexpr int64_t kLine = 64 / int64_t(sizeof(T)), kAhead = 2048 / int64_t(sizeof(T));
  for (int64_t j = rows.begin; j < rows.end; ++j) {
    const int64_t row = ((at[0].end - 1) * extents[1] + j) * extents[2];
    const T* from = image + (row + columns.begin) * channels + kAhead;
    for (int64_t i = 0; i < (columns.end - columns.begin) * channels; i += kLine) __builtin_prefetch(from + i);
  }
}
FASTCONV_INLINE Span beyond(const Span& before, const Span& now) {
  return {before.end > now.begin ? before.end : now.begin, now.end};
}

// Calls piece(image, place, spans of the place, first channel, channels, result) for the pixels of the rows
// [begin, end) of a map of these extents, `count` channels each, that are computed from a map `x` of others.
template <class T, class Body>
FASTCONV_INLINE void for_pixels(const int64_t (&extents)[3], const Span* const (&spans)[3], const T* x,
                                const int64_t (&others)[3], int64_t channels, int64_t count, T* to,
                                int64_t begin, int64_t end, bool past_caches, Body piece) {
  RowsOut<T> out(to, past_caches);
  const int64_t image_size = others[0] * others[1] * others[2] * channels;
  const bool few = count == channels && extents[0] * extents[1] * extents[2] > 1;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t outer = row / extents[1];
    int64_t place[3] = {outer % extents[0], row % extents[1], 0};
    const T* image = x + outer / extents[0] * image_size;
    Span at[3] = {spans[0][place[0]], spans[1][place[1]], {0, 0}};
    const Span fresh = place[1] > 0 ? beyond(spans[1][place[1] - 1], at[1]) : at[1];
    for (; place[2] < extents[2]; ++place[2], to += channels) {
      const Span columns = beyond(at[2], spans[2][place[2]]);
      at[2] = spans[2][place[2]];
      if (few) fetch(image, others, channels, at, fresh, columns);
      for (int64_t first = 0; first < count; first += kPiece) {
        const int64_t some = count - first < kPiece ? count - first : kPiece;
        piece(image + first, place, at, some, count == channels ? out.next(some) : to + first);
      }
    }
  }
  out.finish();
}

}   // namespace

template <class T>
void average_rows_channels_last(const MeanWindows<T>& windows, int64_t channels, int64_t count, const T* x,
                                T* y, int64_t begin, int64_t end, bool past_caches) {
  const MeanWindows<T> w = windows;   // a copy, which no store below can alias
  const bool far = past_caches && channels * int64_t(sizeof(T)) >= kWideCell;
  for_pixels(w.output, w.cells, x, w.input, channels, count, y, begin, end, past_caches,
             [&](const T* image, const int64_t (&place)[3], const Span(&at)[3], int64_t some, T* to)
                 __attribute__((always_inline)) {
                   const T divisor = w.counts[2][place[2]] * (w.counts[0][place[0]] * w.counts[1][place[1]]);
                   const int64_t cells =
                       (at[0].end - at[0].begin) * (at[1].end - at[1].begin) * (at[2].end - at[2].begin);
                   if (cells > kManyCells)
                     return far ? mean_of_many<true>(w, image, channels, some, at, divisor, to)
                                : mean_of_many<false>(w, image, channels, some, at, divisor, to);
                   for_vectors<T>(some, [&](int64_t c, int lanes, auto vectors) __attribute__((always_inline)) {
                     mean_block(w, image + c, channels, at, divisor, to + c, lanes, vectors);
                   });
                 });
}

template <class T>
void average_rows_channels_last_backward(const MeanWindows<T>& windows, int64_t channels, const T* grad, T* dx,
                                         int64_t begin, int64_t end, bool past_caches) {
  const MeanWindows<T> w = windows;
  const T even = w.divisor != 0 ? T(1) / w.divisor : T(0);
  Share<T> share;
  for_pixels(w.input, w.windows, grad, w.output, channels, channels, dx, begin, end, past_caches,
             [&](const T* image, const int64_t (&)[3], const Span(&at)[3], int64_t some,
                 T* to) __attribute__((always_inline)) {
               const auto all = [&](auto known) __attribute__((always_inline)) {
                 for_vectors<T>(some, [&](int64_t c, int lanes, auto vectors) __attribute__((always_inline)) {
                   share_block<known.value>(w, image + c, channels, at, even, share, to + c, lanes, vectors);
                 });
               };
               w.divisor != 0 ? all(Even<true>{}) : all(Even<false>{});
             });
}

template void average_rows_channels_last(const MeanWindows<float>&, int64_t, int64_t, const float*, float*,
                                         int64_t, int64_t, bool);
template void average_rows_channels_last(const MeanWindows<double>&, int64_t, int64_t, const double*, double*,
                                         int64_t, int64_t, bool);
template void average_rows_channels_last_backward(const MeanWindows<float>&, int64_t, const float*, float*,
                                                  int64_t, int64_t, bool);
template void average_rows_channels_last_backward(const MeanWindows<double>&, int64_t, const double*, double*,
                                                  int64_t, int64_t, bool);

}   // namespace fastconv::cpu::FASTCONV_ISA
