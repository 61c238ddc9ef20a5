// How kernels of pooling walk: a block takes some cells of one map or of several small ones, a map being a
// plane (NCHW) or an image (channels last, kVector channels a cell).
#pragma once

#include <stdexcept>
#include <string>

#include "core/problem.hpp"
#include "divisor.cuh"
#include "launch.cuh"

namespace fastconv::cuda {

constexpr int kPoolThreads = 256, kPoolChunk = 8 * kPoolThreads;   // cells a block

struct Windows {
  int height, width, out_height, out_width;   // of the maps pooled and of the result
  int kernel[2], stride[2], padding[2], dilation[2];
};

struct Maps {
  Divisor32 cells, width, vectors;   // of one map; vectors of channels (1: planes)
  uint32_t cells_of_group;
  int64_t maps, group;   // maps a block takes together
};

struct Cell {
  int64_t map;
  uint32_t row, column, vector;
};

// Calls body(cell) for each of the block's cells.
template <class Body>
__device__ __forceinline__ void for_cells(const Maps& maps, const Body& body) {
  const int64_t first = int64_t(blockIdx.x) * maps.group;
  const uint32_t begin = blockIdx.y * kPoolChunk;
  const uint32_t end = min(begin + kPoolChunk, maps.cells_of_group);
  for (uint32_t i = begin + threadIdx.x; i < end; i += kPoolThreads) {
    Cell cell;
    uint32_t rest = i;
    cell.map = first + split(rest, maps.cells);
    if (cell.map >= maps.maps) return;
    const uint32_t pixel = split(rest, maps.vectors);
    cell.vector = rest;
    cell.column = pixel;
    cell.row = split(cell.column, maps.width);
    body(cell);
  }
}

inline Windows windows_of(const PoolProblem& p) {
  Windows w{int(p.input[0]), int(p.input[1]), int(p.output[0]), int(p.output[1]), {}, {}, {}, {}};
  for (int i = 0; i < 2; ++i) {
    w.kernel[i] = int(p.kernel[i]);
    w.stride[i] = int(p.stride[i]);
    w.padding[i] = int(p.padding[i]);
    w.dilation[i] = int(p.dilation[i]);
  }
  return w;
}

// 65535 chunks is what a grid has in its second dimension, and positions within a map are of 32 bits.
inline void check_map(const char* operation, int64_t cells) {
  if (cells >= int64_t(1) << 27)
    throw std::runtime_error(std::string(operation) + ": a plane or image of " + std::to_string(cells) +
                             " cells is too large for CUDA arrays (2**27)");
}

// Over cells of `height` x `width` x `vectors`.
inline Maps maps_of(const char* operation, int64_t maps, int64_t height, int64_t width, int64_t vectors) {
  const int64_t cells = height * width * vectors;
  check_map(operation, cells);
  Maps m;
  m.group = std::max<int64_t>(1, kPoolChunk / cells);
  m.cells = Divisor32(cells);
  m.width = Divisor32(width);
  m.vectors = Divisor32(vectors);
  m.maps = maps;
  m.cells_of_group = uint32_t(m.group * cells);
  return m;
}

inline dim3 grid_of(const Maps& m) {
  return dim3(unsigned(ceil_div(m.maps, m.group)), unsigned(ceil_div(m.cells_of_group, kPoolChunk)));
}

}   // namespace fastconv::cuda
