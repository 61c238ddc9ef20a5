// How kernels of max pooling walk: a block takes some cells of one map or of several small ones, a map being a
// plane (NCHW) or an image (channels last, a vector of channels a cell).
#pragma once

#include <stdexcept>
#include <string>
#include <type_traits>

#include "core/problem.hpp"
#include "divisor.cuh"
#include "launch.cuh"

namespace fastconv::cuda {

constexpr int kPoolThreads = 256, kPoolChunk = 8 * kPoolThreads;   // cells a block takes at once
constexpr int64_t kMostCells = int64_t{1} << 30;                   // of a map: positions are of 32 bits

// One dimension. stride, dilation, in, out divide; in and out, which adaptive windows need, have the extents.
template <class Int, class Divisor>
struct WindowAxis {
  Int input, output, kernel, padding, reach;   // reach: from the first cell of a window to the last
  int step;                                    // between the cells of a window; those inside the input
  Divisor stride, dilation, in, out;
};

// Outermost first, missing outer ones of extent 1. Without kAny: two dimensions of windows that do not adapt,
// whose sums 32 bits hold.
template <bool kAny>
struct Windows {
  using Int = std::conditional_t<kAny, int64_t, int>;
  WindowAxis<Int, std::conditional_t<kAny, Divisor64, Divisor32>> axis[kMaxSpatial];
  bool adaptive;
};

struct Span {
  int begin, count;
};

// The cells of window o that lie inside the input: where the first is, and how many there are.
template <bool kAny>
__device__ __forceinline__ Span cells_of(const Windows<kAny>& w, int i, uint32_t o) {
  using Int = typename Windows<kAny>::Int;
  const auto& a = w.axis[i];
  if constexpr (kAny) {
    if (w.adaptive) {
      const int64_t begin = o * a.input / a.out;
      return {int(begin), int((o * a.input + a.input + a.output - 1) / a.out - begin)};
    }
  }
  const Int dilation = Int(a.dilation.value), origin = Int(o) * Int(a.stride.value) - a.padding;
  const Int begin = origin < 0 ? Int((dilation - 1 - origin) / a.dilation) : 0;
  Int end = a.kernel;
  if (origin + a.reach >= a.input)
    end = origin < a.input ? Int((a.input - origin + dilation - 1) / a.dilation) : 0;
  return {int(origin + begin * dilation), int(end - begin)};
}

// The results whose window may hold cell h.
template <bool kAny>
__device__ __forceinline__ Span windows_at(const Windows<kAny>& w, int i, uint32_t h) {
  using Int = typename Windows<kAny>::Int;
  const auto& a = w.axis[i];
  if constexpr (kAny) {
    if (w.adaptive) {
      const int64_t begin = h * a.output / a.in;
      return {int(begin), int((h * a.output + a.output + a.input - 1) / a.in - begin)};
    }
  }
  const Int at = Int(h) + a.padding, beyond = at - a.reach;
  const Int begin = beyond <= 0 ? 0 : Int((beyond + Int(a.stride.value) - 1) / a.stride);
  return {int(begin), int(min(Int(at / a.stride) + 1, a.output) - begin)};
}

struct Maps {
  Divisor32 cells, height, width, vectors;   // of one map; vectors of channels (1: planes)
  uint32_t cells_of_group;
  int64_t maps, group;   // maps a block takes together
};

struct Cell {
  int64_t map;
  int place;   // in its map, of any vector
  uint32_t slice, row, column, vector;
};

// Calls body(cell) for each of the block's cells; slice is 0 without kAny.
template <bool kAny, class Body>
__device__ __forceinline__ void for_cells(const Maps& maps, const Body& body) {
  const int64_t first = int64_t(blockIdx.x) * maps.group;
  for (uint32_t begin = blockIdx.y * kPoolChunk; begin < maps.cells_of_group; begin += gridDim.y * kPoolChunk) {
    const uint32_t end = min(begin + kPoolChunk, maps.cells_of_group);
    for (uint32_t i = begin + threadIdx.x; i < end; i += kPoolThreads) {
      Cell cell;
      uint32_t rest = i;
      cell.map = first + split(rest, maps.cells);
      if (cell.map >= maps.maps) return;
      cell.column = split(rest, maps.vectors);
      cell.vector = rest;
      cell.place = int(cell.column);
      cell.row = split(cell.column, maps.width);
      cell.slice = 0;
      if constexpr (kAny) cell.slice = split(cell.row, maps.height);
      body(cell);
    }
  }
}

inline bool are_plain(const PoolProblem& p) {
  int64_t largest = 0;
  for (int i = 0; i < p.spatial; ++i)
    largest = std::max(largest, p.input[i] + p.kernel[i] * p.dilation[i] + p.padding[i] + p.stride[i]);
  return p.spatial < 3 && !p.adaptive && largest < (int64_t{1} << 29);
}

template <bool kAny>
Windows<kAny> windows_of(const PoolProblem& p) {
  using Int = typename Windows<kAny>::Int;
  Windows<kAny> w{};
  w.adaptive = p.adaptive;
  for (int i = 0; i < kMaxSpatial; ++i) {
    auto& a = w.axis[i];
    const int d = i - (kMaxSpatial - p.spatial);
    a.input = d < 0 ? 1 : Int(p.input[d]);
    a.output = d < 0 ? 1 : Int(p.output[d]);
    a.in = decltype(a.in)(a.input);
    a.out = decltype(a.out)(a.output);
    a.kernel = d < 0 ? 1 : Int(p.kernel[d]);
    a.padding = d < 0 ? 0 : Int(p.padding[d]);
    a.stride = decltype(a.stride)(d < 0 ? 1 : p.stride[d]);
    a.dilation = decltype(a.dilation)(d < 0 ? 1 : p.dilation[d]);
    a.reach = (a.kernel - 1) * Int(a.dilation.value);
    a.step = int(std::min(Int(a.dilation.value), a.input));
  }
  return w;
}

inline void check_map(const char* operation, int64_t cells) {
  if (cells >= kMostCells)
    throw std::runtime_error(std::string(operation) + ": a plane or image of " + std::to_string(cells) +
                             " cells is too large for CUDA arrays (2**30)");
}

// Over cells of `extents` x `vectors`.
inline Maps maps_of(const char* operation, int64_t maps, const int64_t (&extents)[kMaxSpatial], int spatial,
                    int64_t vectors) {
  int64_t cells = vectors;
  for (int i = 0; i < spatial; ++i) cells *= extents[i];
  check_map(operation, cells);
  Maps m;
  m.group = std::max<int64_t>(1, kPoolChunk / cells);
  m.cells = Divisor32(cells);
  m.height = Divisor32(spatial > 1 ? extents[spatial - 2] : 1);
  m.width = Divisor32(extents[spatial - 1]);
  m.vectors = Divisor32(vectors);
  m.maps = maps;
  m.cells_of_group = uint32_t(m.group * cells);
  return m;
}

// The number of blocks decides nothing but how often each of them goes on to another chunk.
inline dim3 grid_of(const Device& device, const Maps& m) {
  const int64_t chunks = ceil_div(m.cells_of_group, kPoolChunk);
  const int64_t most = int64_t(device_limits(device.index).multiprocessors) * 16;
  return dim3(unsigned(ceil_div(m.maps, m.group)), unsigned(std::min(chunks, most)));
}

}   // namespace fastconv::cuda
