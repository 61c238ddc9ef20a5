// Tiles that are computed by mma.sync, two steps of it a stage.
#pragma once

#include "tile.cuh"

namespace fastconv::cuda::tiled {

template <int extent>
__device__ __forceinline__ uint32_t turned_word(const char* tile, int step, int index) {
  return *reinterpret_cast<const uint32_t*>(tile + chunk_offset<float, true, extent>(step, index >> 2) +
                                            (index & 3) * 4);
}

template <class T>
__device__ __forceinline__ void round_operand(uint32_t (&r)[4]) {
  if constexpr (sizeof(T) == 4) {
#pragma unroll
    for (int i = 0; i < 4; ++i) r[i] = float_to_tf32(__uint_as_float(r[i]));
  }
}

// Rows m to m+15 of step `step` (0 or 1) of the stage.
template <class T, bool turned, int extent>
__device__ __forceinline__ void load_a(uint32_t (&a)[4], const char* tile, int m, int step) {
  const int lane = threadIdx.x & 31;
  if constexpr (!turned) {
    ldmatrix<4, false>(a, tile + chunk_offset<T, false, extent>(m + (lane & 15), (step << 1) | (lane >> 4)));
  } else if constexpr (sizeof(T) == 2) {
    const int row = step * 16 + (lane & 7) + ((lane >> 4) << 3);
    ldmatrix<4, true>(a, tile + chunk_offset<T, true, extent>(row, (m >> 3) + ((lane >> 3) & 1)));
  } else {
    const int k = step * 8 + (lane & 3), row = m + (lane >> 2);
    a[0] = turned_word<extent>(tile, k, row);
    a[1] = turned_word<extent>(tile, k, row + 8);
    a[2] = turned_word<extent>(tile, k + 4, row);
    a[3] = turned_word<extent>(tile, k + 4, row + 8);
  }
  round_operand<T>(a);
}

// Columns n to n+7 in b[0], b[1], n+8 to n+15 in b[2], b[3].
template <class T, bool turned, int extent>
__device__ __forceinline__ void load_b(uint32_t (&b)[4], const char* tile, int n, int step) {
  const int lane = threadIdx.x & 31;
  if constexpr (!turned) {
    const int row = n + (lane & 7) + ((lane >> 4) << 3);
    ldmatrix<4, false>(b, tile + chunk_offset<T, false, extent>(row, (step << 1) | ((lane >> 3) & 1)));
  } else if constexpr (sizeof(T) == 2) {
    const int row = step * 16 + (lane & 15);
    ldmatrix<4, true>(b, tile + chunk_offset<T, true, extent>(row, (n >> 3) + (lane >> 4)));
  } else {
    const int k = step * 8 + (lane & 3), column = n + (lane >> 2);
    b[0] = turned_word<extent>(tile, k, column);
    b[1] = turned_word<extent>(tile, k + 4, column);
    b[2] = turned_word<extent>(tile, k, column + 8);
    b[3] = turned_word<extent>(tile, k + 4, column + 8);
  }
  round_operand<T>(b);
}

// What a warp adds up: [rows of 16][columns of 8][the four of mma's fragment].
template <class T, class Tile, bool turned_a, bool turned_b>
struct TensorCoreSums {
  static constexpr int rows = Tile::warp_m / 16, columns = Tile::warp_n / 8;
  float values[rows][columns][4];

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int i = 0; i < rows; ++i)
#pragma unroll
      for (int j = 0; j < columns; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) values[i][j][e] = 0;
  }

  __device__ __forceinline__ void multiply_stage(const char* stage) {
    const char *a_tile = stage, *b_tile = stage + Tile::a_bytes;
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      uint32_t a[rows][4];
#pragma unroll
      for (int i = 0; i < rows; ++i)
        load_a<T, turned_a, Tile::m>(a[i], a_tile, warp_row<Tile>() + i * 16, step);
#pragma unroll
      for (int j = 0; j < columns; j += 2) {
        uint32_t b[4];
        load_b<T, turned_b, Tile::n>(b, b_tile, warp_column<Tile>() + j * 8, step);
        const uint32_t left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
#pragma unroll
        for (int i = 0; i < rows; ++i) {
          mma<T>(values[i][j], a[i], left);
          mma<T>(values[i][j + 1], a[i], right);
        }
      }
    }
  }

  // Of column n of the warp's `count`.
  __device__ __forceinline__ void add_bias(const T* bias, int count) {
#pragma unroll
    for (int j = 0; j < columns; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int n = j * 8 + int(threadIdx.x & 3) * 2 + e;
        const float b = n < count ? widen(bias[n]) : 0;
#pragma unroll
        for (int i = 0; i < rows; ++i) {
          values[i][j][e] += b;
          values[i][j][e + 2] += b;
        }
      }
  }

  // 16 rows of the warp's tile, `slice` the first one's.
  template <int pitch>
  __device__ __forceinline__ void stage_rows(int i, float* slice) const {
    const int g = int(threadIdx.x & 31) >> 2, t = int(threadIdx.x & 3);
#pragma unroll
    for (int j = 0; j < columns; ++j) {
      const float* v = values[i][j];
      store_vector<2>(slice + g * pitch + j * 8 + t * 2, Vector<float, 2>{v[0], v[1]});
      store_vector<2>(slice + (g + 8) * pitch + j * 8 + t * 2, Vector<float, 2>{v[2], v[3]});
    }
  }

  // 16 columns, as rows.
  template <int pitch>
  __device__ __forceinline__ void stage_columns(int j, float* slice) const {
    const int g = int(threadIdx.x & 31) >> 2, t = int(threadIdx.x & 3);
#pragma unroll
    for (int i = 0; i < rows; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          slice[(half * 8 + t * 2 + (e & 1)) * pitch + i * 16 + g + (e >> 1) * 8] = values[i][2 * j + half][e];
  }

  // To a matrix of `row` numbers a row, of which `height` rows and `width` columns are left.
  __device__ __forceinline__ void store(float* to, int64_t row, int height, int width) const {
    const int m = int(threadIdx.x & 31) >> 2, n = int(threadIdx.x & 3) * 2;
#pragma unroll
    for (int i = 0; i < rows; ++i)
#pragma unroll
      for (int j = 0; j < columns; ++j)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          if (m + i * 16 + half * 8 < height && n + j * 8 < width)
            store_vector<2>(to + (m + i * 16 + half * 8) * row + n + j * 8,
                            Vector<float, 2>{values[i][j][half * 2], values[i][j][half * 2 + 1]});
  }
};

template <int M, int N, int WarpM, int WarpN, int Stages, int Blocks>
struct TensorCoreTile : Tile<M, N, WarpM, WarpN, Stages, Blocks> {
  template <class T, bool turned_a, bool turned_b>
  using Sums = TensorCoreSums<T, TensorCoreTile, turned_a, turned_b>;
  // Turned float32 fragments come word by word, from more addresses than 128 registers hold.
  template <class T, bool turned_b>
  static constexpr int blocks_with = turned_b && sizeof(T) == 4 && Blocks > 3 ? 3 : Blocks;
};

// For every Shape that the tensor cores have.
struct TensorCore {
  using Large = TensorCoreTile<128, 128, 64, 64, 4, 2>;
  using Tall = TensorCoreTile<128, 64, 64, 32, 4, 4>;
  using Wide = TensorCoreTile<64, 128, 32, 64, 4, 3>;
  using Square = TensorCoreTile<64, 64, 32, 32, 4, 4>;
  using Narrow = TensorCoreTile<128, 32, 32, 32, 4, 4>;
};

}   // namespace fastconv::cuda::tiled
