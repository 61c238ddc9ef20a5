#include "sparse.hpp"

#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kSums = 24;   // of 32 registers
#else
constexpr int kSums = 12;   // of 16
#endif
constexpr int kMostVectors = 12, kMostLines = 6;   // of a tile
constexpr int most_lines(int vectors) {
  return kSums / vectors < 1 ? 1 : kSums / vectors < kMostLines ? kSums / vectors : kMostLines;
}
constexpr int64_t kTogether = 32;   // cells that are summed up, from zero, before they are added to the others

template <class T>
int64_t find(const T* grad, const int64_t* indices, int64_t count, const int32_t* places, int64_t plane,
             int32_t* offsets, T* values) {
  int64_t found = 0;
  bool inside = true;
  for (int64_t i = 0; i < count; ++i) {   // without branches: which are zero cannot be foreseen
    const int64_t at = indices[i];        // read once: the array may be the caller's
    const bool valid = uint64_t(at) < uint64_t(plane);
    inside &= valid;
    offsets[found] = places[valid ? at : 0];
    const T value = grad[i];
    values[found] = value;
    found += value != T(0);
  }
  return inside ? found : -1;
}

template <class T>
struct Gather {
  template <int R, int V>
  static void tile(const SparseCells<T>& cells, const T* image, T* sums) {
    constexpr int lanes = kLanes<T>;
    const ptrdiff_t row = cells.vectors * lanes;
    for (int64_t begin = 0; begin < cells.count; begin += kTogether) {
      const int64_t end = begin + kTogether < cells.count ? begin + kTogether : cells.count;
      Vec<T> sum[R][V];
      for (int r = 0; r < R; ++r)
        for (int v = 0; v < V; ++v) sum[r][v] = zero<T>();
      for (int64_t i = begin; i < end; ++i) {
        const T* x = image + cells.offsets[i];
        const Vec<T> value = broadcast(cells.values[i]);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r, x += cells.line)
#pragma GCC unroll 16
          for (int v = 0; v < V; ++v) sum[r][v] += value * load(x + v * lanes);
      }
      for (int r = 0; r < R; ++r)
        for (int v = 0; v < V; ++v) {
          T* to = sums + r * row + v * lanes;
          store<T>(to, load(to) + sum[r][v]);
        }
    }
  }
};

// With the weight in registers, a cell takes a load and a store for each vector of the image.
template <class T>
struct Scatter {
  template <int R, int V>
  static void tile(const SparseCells<T>& cells, T* image, const T* weight) {
    constexpr int lanes = kLanes<T>;
    const ptrdiff_t row = cells.vectors * lanes;
    Vec<T> w[R][V];
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < V; ++v) w[r][v] = load(weight + r * row + v * lanes);
    for (int64_t i = 0; i < cells.count; ++i) {
      T* to = image + cells.offsets[i];
      const Vec<T> value = broadcast(cells.values[i]);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r, to += cells.line)
#pragma GCC unroll 16
        for (int v = 0; v < V; ++v) store<T>(to + v * lanes, load(to + v * lanes) + value * w[r][v]);
    }
  }
};

// `lines` lines in tiles of nearly as many.
template <class Op, int V, int R = most_lines(V), class T, class Image, class Rows>
void tile_of(int lines, const SparseCells<T>& cells, Image* image, Rows* rows) {
  if constexpr (R > 1) {
    if (lines < R) return tile_of<Op, V, R - 1>(lines, cells, image, rows);
  }
  Op::template tile<R, V>(cells, image, rows);
}
template <class Op, int V = kMostVectors, class T, class Image, class Rows>
void tiles_of(int vectors, const SparseCells<T>& cells, Image* image, Rows* rows) {
  if constexpr (V > 1) {
    if (vectors < V) return tiles_of<Op, V - 1>(vectors, cells, image, rows);
  }
  const int64_t tiles = (cells.lines + most_lines(V) - 1) / most_lines(V);
  for (int64_t t = 0, r = 0; t < tiles; ++t) {
    const int lines = int((cells.lines - r + tiles - t - 1) / (tiles - t));
    tile_of<Op, V>(lines, cells, image + r * cells.line, rows + r * cells.vectors * kLanes<T>);
    r += lines;
  }
}
template <class Op, class T, class Image, class Rows>
void all_tiles(const SparseCells<T>& cells, Image* image, Rows* rows) {
  const int64_t parts = (cells.vectors + kMostVectors - 1) / kMostVectors;
  for (int64_t t = 0, v = 0; t < parts; ++t) {
    const int vectors = int((cells.vectors - v + parts - t - 1) / (parts - t));
    tiles_of<Op>(vectors, cells, image + v * kLanes<T>, rows + v * kLanes<T>);
    v += vectors;
  }
}

template <class T>
void gather(const SparseCells<T>& cells, const T* image, T* sums) {
  all_tiles<Gather<T>>(cells, image, sums);
}

template <class T>
bool all_finite(const T* values, int64_t count) {
  T sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += values[i] - values[i];
  return sum == T(0);
}

// Without the zeros behind the weight's lines, which an infinity or a NaN makes NaN.
template <class T>
void scatter_exactly(const SparseCells<T>& cells, const T* weight, int64_t width, T* image) {
  for (int64_t i = 0; i < cells.count; ++i)
    for (int64_t r = 0; r < cells.lines; ++r) {
      T* to = image + cells.offsets[i] + r * cells.line;
      for (int64_t j = 0; j < width; ++j) to[j] += cells.values[i] * weight[r * cells.vectors * kLanes<T> + j];
    }
}

template <class T>
void scatter(const SparseCells<T>& cells, const T* weight, int64_t width, T* image) {
  SparseCells<T> some = cells;   // whose part of the image stays in L1
  for (int64_t begin = 0; begin < cells.count; begin += kTogether) {
    some.offsets = cells.offsets + begin;
    some.values = cells.values + begin;
    some.count = cells.count - begin < kTogether ? cells.count - begin : kTogether;
    if (all_finite(some.values, some.count))
      all_tiles<Scatter<T>>(some, image, weight);
    else
      scatter_exactly(some, weight, width, image);
  }
}

}   // namespace

template <class T>
SparseKernels<T> sparse_kernels() {
  return {find<T>, gather<T>, scatter<T>};
}
template SparseKernels<float> sparse_kernels();
template SparseKernels<double> sparse_kernels();

}   // namespace fastconv::cpu::FASTCONV_ISA
