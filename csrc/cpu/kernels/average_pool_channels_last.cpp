// Average pooling, channels last: vectors of channels.
#include "average_pool.hpp"
#include "rows_out.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// Cells of a row that are summed up from zero, channels that a result takes at a time, and cells of a window
// that are too many to be read anew for every few vectors of channels; cells that are fetched ahead.
constexpr int64_t kSummedCells = 128, kPiece = 1024, kManyCells = 16, kAhead = 8;

template <int kVectors>
struct Vectors {};
// Calls block(c, lanes of the last vector, vectors) over `count` channels.
template <class T, class Block>
FASTCONV_INLINE void for_vectors(int64_t count, Block block) {
  constexpr int n = kLanes<T>;
  int64_t c = 0;
  for (; c + 4 * n <= count; c += 4 * n) block(c, n, Vectors<4>{});
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
#pragma GCC unroll 4
        for (int u = 0; u < kVectors; ++u) {
          if (u * int64_t(sizeof(Vec<T>)) % 64 == 0) __builtin_prefetch(cell + u * n + kAhead * channels);
          sum[u] += lanes == n ? load(cell + u * n) : load_partial(cell + u * n, lanes);
        }
    }
  }
#pragma GCC unroll 4
  for (int u = 0; u < kVectors; ++u) {
    const Vec<T> mean = sum[u] / divisor;
    lanes == n ? store(y + u * n, mean) : store_partial(y + u * n, mean, lanes);
  }
}

// The same of `count` channels, up to kPiece, and windows of many cells: memory is read in order, and rows are
// summed up from zero.
template <class T>
void mean_of_many(const MeanWindows<T>& w, const T* image, int64_t channels, int64_t count, const Span (&at)[3],
                  T divisor, T* y) {
  constexpr int n = kLanes<T>;
  alignas(kVectorBytes) T sum[kPiece + n], total[kPiece + n];
  for (int64_t c = 0; c < count; c += n) store(total + c, zero<T>());
  for (int64_t i = at[0].begin; i < at[0].end; ++i)
    for (int64_t j = at[1].begin; j < at[1].end; ++j) {
      const T* cell = image + ((i * w.input[1] + j) * w.input[2] + at[2].begin) * channels;
      for (int64_t left = at[2].end - at[2].begin; left > 0; left -= kSummedCells) {
        for (int64_t c = 0; c < count; c += n) store(sum + c, zero<T>());
        for (int64_t k = left < kSummedCells ? left : kSummedCells; k > 0; --k, cell += channels) {
          int64_t c = 0;
          for (; c + n <= count; c += n) {
            __builtin_prefetch(cell + c + kAhead * channels);   // blocks of channels lie apart
            store(sum + c, load(sum + c) + load(cell + c));
          }
          if (c < count) store(sum + c, load(sum + c) + load_partial(cell + c, int(count - c)));
        }
        for (int64_t c = 0; c < count; c += n) store(total + c, load(total + c) + load(sum + c));
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

// kVectors vectors of channels of one cell's gradient.
template <class T, int kVectors>
FASTCONV_INLINE void share_block(const MeanWindows<T>& w, const T* image, int64_t channels, const Span (&at)[3],
                                 Share<T>& share, T* dx, int lanes, Vectors<kVectors>) {
  constexpr int n = kLanes<T>;
  Vec<T> total[kVectors] = {};
  for (int64_t k = at[2].begin; k < at[2].end; ++k) {
    Vec<T> sum[kVectors] = {};
    for (int64_t i = at[0].begin; i < at[0].end; ++i)
      for (int64_t j = at[1].begin; j < at[1].end; ++j) {
        const T part = share.of(w.counts[2][k] * (w.counts[0][i] * w.counts[1][j]));
        const T* grad = image + ((i * w.output[1] + j) * w.output[2] + k) * channels;
#pragma GCC unroll 4
        for (int u = 0; u < kVectors; ++u)
          sum[u] += (lanes == n ? load(grad + u * n) : load_partial(grad + u * n, lanes)) * part;
      }
#pragma GCC unroll 4
    for (int u = 0; u < kVectors; ++u) total[u] += sum[u];
  }
#pragma GCC unroll 4
  for (int u = 0; u < kVectors; ++u)
    lanes == n ? store(dx + u * n, total[u]) : store_partial(dx + u * n, total[u], lanes);
}

// Calls piece(image, place, spans of the place, first channel, channels, result) for the pixels of the rows
// [begin, end) of a map of these extents, `count` channels each.
template <class T, class Body>
FASTCONV_INLINE void for_pixels(const int64_t (&extents)[3], const Span* const (&spans)[3], int64_t channels,
                                int64_t count, T* to, int64_t begin, int64_t end, bool past_caches,
                                Body piece) {
  RowsOut<T> out(to, past_caches);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t outer = row / extents[1], image = outer / extents[0];
    int64_t place[3] = {outer % extents[0], row % extents[1], 0};
    Span at[3] = {spans[0][place[0]], spans[1][place[1]], {}};
    for (; place[2] < extents[2]; ++place[2], to += channels) {
      at[2] = spans[2][place[2]];
      for (int64_t first = 0; first < count; first += kPiece) {
        const int64_t some = count - first < kPiece ? count - first : kPiece;
        piece(image, place, at, first, some, count == channels ? out.next(some) : to + first);
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
  const int64_t image_size = w.input[0] * w.input[1] * w.input[2] * channels;
  for_pixels(w.output, w.cells, channels, count, y, begin, end, past_caches,
             [&](int64_t image, const int64_t (&place)[3], const Span(&at)[3], int64_t first, int64_t some,
                 T* to) __attribute__((always_inline)) {
               const T divisor = w.counts[2][place[2]] * (w.counts[0][place[0]] * w.counts[1][place[1]]);
               const T* from = x + (image * image_size + first);
               const int64_t cells =
                   (at[0].end - at[0].begin) * (at[1].end - at[1].begin) * (at[2].end - at[2].begin);
               if (cells > kManyCells) return mean_of_many(w, from, channels, some, at, divisor, to);
               for_vectors<T>(some, [&](int64_t c, int lanes, auto vectors) __attribute__((always_inline)) {
                 mean_block(w, from + c, channels, at, divisor, to + c, lanes, vectors);
               });
             });
}

template <class T>
void average_rows_channels_last_backward(const MeanWindows<T>& windows, int64_t channels, const T* grad, T* dx,
                                         int64_t begin, int64_t end, bool past_caches) {
  const MeanWindows<T> w = windows;
  const int64_t image_size = w.output[0] * w.output[1] * w.output[2] * channels;
  Share<T> share;
  for_pixels(w.input, w.windows, channels, channels, dx, begin, end, past_caches,
             [&](int64_t image, const int64_t (&)[3], const Span(&at)[3], int64_t first, int64_t some, T* to)
                 __attribute__((always_inline)) {
                   const T* from = grad + (image * image_size + first);
                   for_vectors<T>(some, [&](int64_t c, int lanes, auto vectors) __attribute__((always_inline)) {
                     share_block(w, from + c, channels, at, share, to + c, lanes, vectors);
                   });
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
