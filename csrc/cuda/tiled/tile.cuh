// A block's tile of a matrix product: its operands in shared memory and the pipeline that fills it. What
// computes the products and keeps the sums is a tile's own: tensor_core_tile.cuh, simt_tile.cuh.
//
// A stage is 64 bytes of the reduction (32 numbers of 16 bits, 16 of float32, 8 of float64); to this file all
// types are bytes in chunks of 16. An operand lies in shared memory either by rows, 64 bytes of the reduction
// each, or turned: a row a step of the reduction, with the tile's rows along it. Chunks are permuted within a
// row so that the 8 rows of which a chunk is read at once, and the 8 lanes that write 16 bytes each, meet all
// 32 banks.
#pragma once

#include "../types.cuh"

namespace fastconv::cuda::tiled {

constexpr int kRowBytes = 64;
constexpr int kChunk = 16;

// m x n results a block, warp_m x warp_n a warp; `blocks` on a multiprocessor at once bound the registers.
template <int M, int N, int WarpM, int WarpN, int Stages, int Blocks>
struct Tile {
  static constexpr int m = M, n = N, warp_m = WarpM, warp_n = WarpN, stages = Stages, blocks = Blocks;
  static constexpr int warps_m = M / WarpM, threads = 32 * warps_m * (N / WarpN);
  static constexpr int a_bytes = M * kRowBytes, stage_bytes = (M + N) * kRowBytes;
  static constexpr int shared_bytes = Stages * stage_bytes;
};

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

// The warp's place in the tile.
template <class Tile>
__device__ __forceinline__ int warp_row() {
  return int(threadIdx.x / 32) % Tile::warps_m * Tile::warp_m;
}
template <class Tile>
__device__ __forceinline__ int warp_column() {
  return int(threadIdx.x / 32) / Tile::warps_m * Tile::warp_n;
}

// Loads stages ahead and multiplies: `load(stage)` starts the copies of the next `kDepth` steps of the
// reduction.
template <class Tile, class Sums, class Load>
__device__ __forceinline__ void multiply(Sums& sums, char* shared, int stages, Load& load) {
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
    sums.multiply_stage(shared + reading * Tile::stage_bytes);
    reading = reading + 1 == Tile::stages ? 0 : reading + 1;
    writing = writing + 1 == Tile::stages ? 0 : writing + 1;
  }
  cp_async_wait<0>();
  __syncthreads();   // shared memory is free for what follows
}

}   // namespace fastconv::cuda::tiled
