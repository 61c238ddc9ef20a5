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

template <class T, int R, int V>
void gather_tile(const SparseCells<T>& cells, const T* image, T* sums) {
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

// `lines` lines in tiles of nearly as many.
template <class T, int V, int R = most_lines(V)>
void gather_tile_of(int lines, const SparseCells<T>& cells, const T* image, T* sums) {
  if constexpr (R > 1) {
    if (lines < R) return gather_tile_of<T, V, R - 1>(lines, cells, image, sums);
  }
  gather_tile<T, R, V>(cells, image, sums);
}
template <class T, int V>
void gather_lines(const SparseCells<T>& cells, const T* image, T* sums) {
  const int64_t tiles = (cells.lines + most_lines(V) - 1) / most_lines(V);
  for (int64_t t = 0, r = 0; t < tiles; ++t) {
    const int lines = int((cells.lines - r + tiles - t - 1) / (tiles - t));
    gather_tile_of<T, V>(lines, cells, image + r * cells.line, sums + r * cells.vectors * kLanes<T>);
    r += lines;
  }
}
template <class T, int V = kMostVectors>
void gather_vectors(int vectors, const SparseCells<T>& cells, const T* image, T* sums) {
  if constexpr (V > 1) {
    if (vectors < V) return gather_vectors<T, V - 1>(vectors, cells, image, sums);
  }
  gather_lines<T, V>(cells, image, sums);
}

template <class T>
void gather(const SparseCells<T>& cells, const T* image, T* sums) {
  const int64_t parts = (cells.vectors + kMostVectors - 1) / kMostVectors;
  for (int64_t t = 0, v = 0; t < parts; ++t) {
    const int vectors = int((cells.vectors - v + parts - t - 1) / (parts - t));
    gather_vectors<T>(vectors, cells, image + v * kLanes<T>, sums + v * kLanes<T>);
    v += vectors;
  }
}

// Lines of V vectors; of `vectors` where V is 0.
template <class T, int V>
void scatter_lines(const SparseCells<T>& cells, const T* weight, int64_t width, T* image) {
  constexpr int lanes = kLanes<T>;
  const int64_t vectors = V ? V : cells.vectors;
  for (int64_t i = 0; i < cells.count; ++i) {
    T* to = image + cells.offsets[i];
    const T value = cells.values[i];
    if (value - value != T(0)) {   // infinite or NaN, and so times the zeros behind the weight's lines
      for (int64_t r = 0; r < cells.lines; ++r)
        for (int64_t j = 0; j < width; ++j)
          to[r * cells.line + j] += value * weight[r * cells.vectors * lanes + j];
      continue;
    }
    const Vec<T> scale = broadcast(value);
    const T* from = weight;
    for (int64_t r = 0; r < cells.lines; ++r, to += cells.line, from += vectors * lanes)
#pragma GCC unroll 4
      for (int64_t v = 0; v < vectors; ++v)
        store<T>(to + v * lanes, load(to + v * lanes) + scale * load(from + v * lanes));
  }
}

template <class T>
void scatter(const SparseCells<T>& cells, const T* weight, int64_t width, T* image) {
  constexpr decltype(&scatter<T>) of_vectors[] = {scatter_lines<T, 0>, scatter_lines<T, 1>,
                                                  scatter_lines<T, 2>, scatter_lines<T, 3>,
                                                  scatter_lines<T, 4>, scatter_lines<T, 5>};
  of_vectors[cells.vectors <= 5 ? cells.vectors : 0](cells, weight, width, image);
}

}   // namespace

template <class T>
SparseKernels<T> sparse_kernels() {
  return {find<T>, gather<T>, scatter<T>};
}
template SparseKernels<float> sparse_kernels();
template SparseKernels<double> sparse_kernels();

}   // namespace fastconv::cpu::FASTCONV_ISA
