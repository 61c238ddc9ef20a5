// Tiles that are computed by multiply-adds of float32 and float64: each thread keeps its results in registers.
#pragma once

#include "tile.cuh"

namespace fastconv::cuda::tiled {

// 8 lanes along the rows of a warp's tile, 4 along its columns. Of an operand that lies by rows a thread reads
// 8 or 16 bytes of the reduction at once, of a turned one 16 bytes of neighbours. What the lanes of a warp read
// together differs in 8 places at most, which meet all banks, or in 4, which meet half of them.
template <class T, class Tile, bool turned_a, bool turned_b>
struct SimtSums {
  static_assert(turned_b || !turned_a);
  static constexpr int lanes = kLanes16<T>;
  static constexpr int rows = Tile::warp_m / 8, columns = Tile::warp_n / 4;
  // Of the reduction, read at once by rows. 64 sums leave no registers for 16 bytes of each of 8 rows.
  static constexpr int steps = rows * columns < 64 ? lanes : lanes / 2;
  T values[rows][columns];

  // Of the `across` lanes' elements number i: so many of them are neighbours.
  template <int across, int neighbours>
  static __device__ __forceinline__ int place(int lane, int i) {
    return i / neighbours * (across * neighbours) + lane * neighbours + i % neighbours;
  }
  static __device__ __forceinline__ int row(int i) {
    return place<8, turned_a ? lanes : 1>(int(threadIdx.x & 7), i);
  }
  // Two neighbours where b lies by rows: lanes two rows apart read chunks that are permuted differently.
  static __device__ __forceinline__ int column(int j) {
    return place<4, turned_b ? lanes : 2>(int(threadIdx.x & 31) >> 3, j);
  }

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < rows; ++i)
#pragma unroll
      for (int j = 0; j < columns; ++j) values[i][j] = 0;
  }

  template <int count>
  static __device__ __forceinline__ Vector<T, count> read(const char* tile, int offset) {
    return load_vector<count>(reinterpret_cast<const T*>(tile + offset));
  }

  // Step k of a turned operand, from element `first` on, of which a thread has `count` across its lanes.
  template <int extent, int across, int count>
  static __device__ __forceinline__ void read_turned(T (&to)[count], const char* tile, int k, int first) {
#pragma unroll
    for (int i = 0; i < count; i += lanes) {
      const auto values =
          read<lanes>(tile, chunk_offset<T, true, extent>(k, first / lanes + i / lanes * across));
#pragma unroll
      for (int e = 0; e < lanes; ++e) to[i + e] = values[e];
    }
  }

  // Steps k to k + steps - 1, of operands by rows in one read each.
  static __device__ __forceinline__ void multiply_by_rows(T (&values)[rows][columns], const char* a_tile,
                                                          const char* b_tile, int k, int row, int column) {
    const int chunk = k / lanes, within = k % lanes * int(sizeof(T));
    Vector<T, steps> a[rows];
#pragma unroll
    for (int i = 0; i < rows; ++i)   // 8 rows on, chunks are permuted alike
      a[i] = read<steps>(a_tile, chunk_offset<T, false, 0>(row, chunk) + within + i * 8 * kRowBytes);
#pragma unroll
    for (int j = 0; j < columns; ++j) {
      const auto b = read<steps>(
          b_tile, chunk_offset<T, false, 0>(column, chunk) + within + (j / 2 * 8 + j % 2) * kRowBytes);
#pragma unroll
      for (int e = 0; e < steps; ++e)
#pragma unroll
        for (int i = 0; i < rows; ++i) values[i][j] += a[i][e] * b[e];
    }
  }

  // The same, b turned and perhaps a.
  static __device__ __forceinline__ void multiply_turned(T (&values)[rows][columns], const char* a_tile,
                                                         const char* b_tile, int k, int row, int column) {
    T a[turned_a ? 1 : rows][steps];
    if constexpr (!turned_a) {
#pragma unroll
      for (int i = 0; i < rows; ++i) {
        const auto along = read<steps>(
            a_tile, chunk_offset<T, false, 0>(row, k / lanes) + k % lanes * int(sizeof(T)) + i * 8 * kRowBytes);
#pragma unroll
        for (int e = 0; e < steps; ++e) a[i][e] = along[e];
      }
    }
#pragma unroll(turned_a ? 1 : steps)
    for (int e = 0; e < steps; ++e) {
      T left[rows], right[columns];
      if constexpr (turned_a) {
        read_turned<Tile::m, 8>(left, a_tile, k + e, row);
      } else {
#pragma unroll
        for (int i = 0; i < rows; ++i) left[i] = a[i][e];
      }
      read_turned<Tile::n, 4>(right, b_tile, k + e, column);
#pragma unroll
      for (int i = 0; i < rows; ++i)
#pragma unroll
        for (int j = 0; j < columns; ++j) values[i][j] += left[i] * right[j];
    }
  }

  __device__ __forceinline__ void multiply_stage(const char* stage) {
    const int first_row = warp_row<Tile>() + row(0), first_column = warp_column<Tile>() + column(0);
#pragma unroll 1
    for (int k = 0; k < kDepth<T>; k += steps) {
      if constexpr (turned_b)
        multiply_turned(values, stage, stage + Tile::a_bytes, k, first_row, first_column);
      else
        multiply_by_rows(values, stage, stage + Tile::a_bytes, k, first_row, first_column);
    }
  }

  // Of column n of the warp's `count`.
  __device__ __forceinline__ void add_bias(const T* bias, int count) {
#pragma unroll
    for (int j = 0; j < columns; ++j) {
      const T b = column(j) < count ? bias[column(j)] : T(0);
#pragma unroll
      for (int i = 0; i < rows; ++i) values[i][j] += b;
    }
  }

  // 16 rows of the warp's tile, `slice` the first one's.
  template <int pitch>
  __device__ __forceinline__ void stage_rows(int s, T* slice) const {
    static_assert(!turned_a);
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int j = 0; j < columns; ++j) slice[row(i) * pitch + column(j)] = values[2 * s + i][j];
  }

  // 16 columns, as rows.
  template <int pitch>
  __device__ __forceinline__ void stage_columns(int s, T* slice) const {
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
      for (int i = 0; i < rows; ++i) slice[column(j) * pitch + row(i)] = values[i][4 * s + j];
  }

  // To a matrix of `row_length` numbers a row, of which `height` rows and `width` columns are left.
  __device__ __forceinline__ void store(T* to, int64_t row_length, int height, int width) const {
    static_assert(turned_b);
#pragma unroll
    for (int i = 0; i < rows; ++i)
#pragma unroll
      for (int j = 0; j < columns; j += lanes) {
        if (row(i) >= height || column(j) >= width) continue;
        Vector<T, lanes> neighbours;
#pragma unroll
        for (int e = 0; e < lanes; ++e) neighbours[e] = values[i][j + e];
        store_vector<lanes>(to + row(i) * row_length + column(j), neighbours);
      }
  }
};

template <int M, int N, int WarpM, int WarpN, int Stages, int Blocks>
struct SimtTile : Tile<M, N, WarpM, WarpN, Stages, Blocks> {
  template <class T, bool turned_a, bool turned_b>
  using Sums = SimtSums<T, SimtTile, turned_a, turned_b>;
  template <class T, bool turned_b>
  static constexpr int blocks_with = Blocks;
};

// For every Shape that they have; float64 has the square one alone.
struct Simt {
  using Large = SimtTile<128, 128, 64, 32, 3, 2>;   // 8x8 results a thread
  using Square = SimtTile<64, 64, 32, 32, 3, 4>;    // 4x8
  using Narrow = SimtTile<128, 32, 32, 32, 3, 4>;   // 4x8
};

}   // namespace fastconv::cuda::tiled
