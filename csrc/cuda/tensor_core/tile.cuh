// A block's tile of a matrix product on the tensor cores: its operands in shared memory, the fragments read
// from them, the products.
//
// A stage is 64 bytes of the reduction (32 numbers of 16 bits, 16 of float32), two steps of mma.sync; to this
// file all types are bytes in chunks of 16. An operand lies in shared memory either by rows, 64 bytes of the
// reduction each, or turned: a row a step of the reduction, with the tile's rows along it. Chunks are permuted
// within a row so that the 8 rows that ldmatrix reads, and the 8 lanes that write 16 bytes each, meet all 32
// banks.
#pragma once

#include "../types.cuh"

namespace fastconv::cuda::tensor_core {

constexpr int kThreads = 128;
constexpr int kRowBytes = 64;
constexpr int kChunk = 16;

// m x n results a block, warp_m x warp_n a warp; `blocks` on a multiprocessor at once bound the registers.
template <int M, int N, int WarpM, int WarpN, int Stages, int Blocks>
struct Tile {
  static constexpr int m = M, n = N, warp_m = WarpM, warp_n = WarpN, stages = Stages, blocks = Blocks;
  static constexpr int warps_m = M / WarpM;
  static constexpr int a_bytes = M * kRowBytes, stage_bytes = (M + N) * kRowBytes;
  static constexpr int shared_bytes = Stages * stage_bytes;
  static_assert(32 * (M / WarpM) * (N / WarpN) == kThreads);
};
using Large = Tile<128, 128, 64, 64, 4, 2>;
using Tall = Tile<128, 64, 64, 32, 4, 4>;
using Wide = Tile<64, 128, 32, 64, 4, 3>;
using Square = Tile<64, 64, 32, 32, 4, 4>;
using Narrow = Tile<128, 32, 32, 32, 4, 4>;

template <class T>
constexpr int kDepth = kRowBytes / int(sizeof(T));   // steps of the reduction a stage

// Byte offset of a chunk. `extent`: the tile's rows, that is the length of a row where it is turned.
template <class T, bool turned, int extent>
__device__ __forceinline__ int chunk_offset(int row, int chunk) {
  constexpr int bytes = turned ? extent * int(sizeof(T)) : kRowBytes;
  if constexpr (bytes == 64)   // two rows share the banks' 128 bytes
    return row * bytes + ((chunk ^ ((row >> 1) & 3)) * kChunk);
  else if constexpr (sizeof(T) == 4)   // fragments come word by word: 8 neighbours of each of 4 rows
    return row * bytes + ((chunk ^ ((row & 3) << 1)) * kChunk);
  else
    return row * bytes + ((chunk ^ (row & 7)) * kChunk);
}

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
template <class Tile>
struct Sums {
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
};

// The warp's place in the tile.
template <class Tile>
__device__ __forceinline__ int warp_row() {
  return int(threadIdx.x / 32) % Tile::warps_m * Tile::warp_m;
}
template <class Tile>
__device__ __forceinline__ int warp_column() {
  return int(threadIdx.x / 32) / Tile::warps_m * Tile::warp_n;
}

template <class T, class Tile, bool turned_a, bool turned_b>
__device__ __forceinline__ void multiply_stage(Sums<Tile>& sums, const char* stage) {
  const char *a_tile = stage, *b_tile = stage + Tile::a_bytes;
#pragma unroll
  for (int step = 0; step < 2; ++step) {
    uint32_t a[Sums<Tile>::rows][4];
#pragma unroll
    for (int i = 0; i < Sums<Tile>::rows; ++i)
      load_a<T, turned_a, Tile::m>(a[i], a_tile, warp_row<Tile>() + i * 16, step);
#pragma unroll
    for (int j = 0; j < Sums<Tile>::columns; j += 2) {
      uint32_t b[4];
      load_b<T, turned_b, Tile::n>(b, b_tile, warp_column<Tile>() + j * 8, step);
      const uint32_t left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
#pragma unroll
      for (int i = 0; i < Sums<Tile>::rows; ++i) {
        mma<T>(sums.values[i][j], a[i], left);
        mma<T>(sums.values[i][j + 1], a[i], right);
      }
    }
  }
}

// Loads stages ahead and multiplies: `load(stage)` starts the copies of the next `kDepth` steps of the
// reduction.
template <class T, class Tile, bool turned_a, bool turned_b, class Load>
__device__ __forceinline__ void multiply(Sums<Tile>& sums, char* shared, int stages, Load& load) {
  sums.clear();
#pragma unroll
  for (int ahead = 0; ahead < Tile::stages - 1; ++ahead) {
    if (ahead < stages) load(shared + ahead * Tile::stage_bytes);
    cp_async_commit();
  }
  int reading = 0, writing = Tile::stages - 1;
  for (int i = 0; i < stages; ++i) {
    cp_async_wait<Tile::stages - 2>();
    __syncthreads();   // stage i is there for all; everybody is done with stage i - 1, which is written next
    if (i + Tile::stages - 1 < stages) load(shared + writing * Tile::stage_bytes);
    cp_async_commit();
    multiply_stage<T, Tile, turned_a, turned_b>(sums, shared + reading * Tile::stage_bytes);
    reading = reading + 1 == Tile::stages ? 0 : reading + 1;
    writing = writing + 1 == Tile::stages ? 0 : writing + 1;
  }
  cp_async_wait<0>();
  __syncthreads();   // shared memory is free for what follows
}

}   // namespace fastconv::cuda::tensor_core
