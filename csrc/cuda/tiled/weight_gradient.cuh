// The gradient of the weight as a matrix product: rows are output channels, columns taps times channels, the
// reduction goes over positions. Both operands lie with the reduction outermost and are turned on their way
// into fragments.
#pragma once

#include "epilogue.cuh"
#include "geometry.hpp"
#include "tile.cuh"

namespace fastconv::cuda::tiled {

template <class T, class Tile, int cell>
struct GradientLoad {
  static constexpr int depth = kDepth<T>;
  static constexpr int a_columns = Tile::m * int(sizeof(T)) / kChunk, a_apart = Tile::threads / a_columns;
  static constexpr int a_rows = depth / a_apart;
  static constexpr int b_columns = Tile::n * int(sizeof(T)) / cell, b_apart = Tile::threads / b_columns;
  static constexpr int b_rows = depth / b_apart;

  const WeightGradient& c;
  const char *grad, *x;
  int next, end;   // of this block's positions
  bool grad_inside, x_inside;
  int dz, dy, dx;                          // of the thread's tap
  uint32_t line[b_rows], column[b_rows];   // of the output, lines of all images

  __device__ __forceinline__ GradientLoad(const WeightGradient& c, int group, int split, int m0, int n0)
      : c(c) {
    next = split * c.stages_a_split * depth;
    end = min(c.positions, next + c.stages_a_split * depth);
    const int a_column = int(threadIdx.x) % a_columns, b_column = int(threadIdx.x) % b_columns;
    grad_inside = m0 + a_column * kLanes16<T> < c.out_channels;
    grad = static_cast<const char*>(c.grad) +
           (int64_t(group) * c.grad_group + m0 / kLanes16<T> + a_column) * kChunk;

    const int index = n0 * int(sizeof(T)) / cell + b_column, tap = index / c.cells;
    x_inside = tap < c.taps;
    x = static_cast<const char*>(c.x) + (int64_t(group) * c.cells + index % c.cells) * cell;
    dz = tap / c.w.taps / c.h.taps * c.d.step + c.d.first;
    dy = tap / c.w.taps % c.h.taps * c.h.step + c.h.first;
    dx = tap % c.w.taps * c.w.step + c.w.first;
#pragma unroll
    for (int i = 0; i < b_rows; ++i) {
      column[i] = uint32_t(next + int(threadIdx.x) / b_columns + i * b_apart);
      line[i] = column[i] / c.w.out_divisor;
      column[i] -= line[i] * uint32_t(c.w.out);
    }
  }

  __device__ __forceinline__ void advance(int i) {
    column[i] += c.advance_column;
    line[i] += c.advance_line;
    if (column[i] >= uint32_t(c.w.out)) {
      column[i] -= uint32_t(c.w.out);
      ++line[i];
    }
  }

  __device__ __forceinline__ void operator()(char* stage) {
    const int a_row = int(threadIdx.x) / a_columns, a_column = int(threadIdx.x) % a_columns;
#pragma unroll
    for (int i = 0; i < a_rows; ++i) {
      const int at = next + a_row + i * a_apart;
      const bool inside = grad_inside && at < end;
      cp_async<16>(stage + chunk_offset<T, true, Tile::m>(a_row + i * a_apart, a_column),
                   inside ? grad + int64_t(at) * c.grad_pixel * kChunk : static_cast<const char*>(c.grad),
                   inside ? 16 : 0);
    }
    char* to = stage + Tile::a_bytes;
    const int b_row = int(threadIdx.x) / b_columns, byte = int(threadIdx.x) % b_columns * cell;
#pragma unroll
    for (int i = 0; i < b_rows; ++i) {
      uint32_t row = line[i], plane = split(row, c.h.out_divisor);
      const uint32_t image = split(plane, c.d.out_divisor);
      const int d = int(plane) * c.d.stride + dz, h = int(row) * c.h.stride + dy,
                w = int(column[i]) * c.w.stride + dx;
      const bool inside = x_inside && next + b_row + i * b_apart < end && unsigned(d) < unsigned(c.d.in) &&
                          unsigned(h) < unsigned(c.h.in) && unsigned(w) < unsigned(c.w.in);
      const int64_t pixel =
          ((image * uint32_t(c.d.in) + uint32_t(d)) * uint32_t(c.h.in) + uint32_t(h)) * uint32_t(c.w.in) +
          uint32_t(w);
      cp_async<cell>(to + chunk_offset<T, true, Tile::n>(b_row + i * b_apart, byte / kChunk) + byte % kChunk,
                     inside ? x + pixel * c.x_pixel * cell : static_cast<const char*>(c.x), inside ? cell : 0);
      advance(i);
    }
    next += depth;
  }
};

// The grid's x: tiles, columns fastest; z: groups and their splits.
template <class T, class Tile, int cell>
__global__ void __launch_bounds__(Tile::threads, Tile::blocks)
    weight_gradient_kernel(const __grid_constant__ WeightGradient c) {
  const int columns = c.taps * c.cells * cell / int(sizeof(T));
  const int column_tiles = (columns + Tile::n - 1) / Tile::n;
  const int m0 = int(blockIdx.x) / column_tiles * Tile::m, n0 = int(blockIdx.x) % column_tiles * Tile::n;
  const int group = int(blockIdx.z) / c.splits, split = int(blockIdx.z) % c.splits;

  typename Tile::template Sums<T, true, true> sums;
  GradientLoad<T, Tile, cell> load(c, group, split, m0, n0);
  const int stages =
      min(c.stages_a_split, (c.positions + load.depth - 1) / load.depth - split * c.stages_a_split);
  multiply<Tile>(sums, dynamic_shared<char>(), stages, load);

  const int m = m0 + warp_row<Tile>(), n = n0 + warp_column<Tile>();
  Accumulator<T>* to =
      static_cast<Accumulator<T>*>(c.partial) + (int64_t(split) * c.groups + group) * c.out_channels * columns;
  sums.store(to + int64_t(m) * columns + n, columns, c.out_channels - m, columns - n);
}

}   // namespace fastconv::cuda::tiled
