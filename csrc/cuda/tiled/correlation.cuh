// Implicit matrix product: rows are positions of the result, columns output channels, the reduction goes over
// taps and within a tap over channels.
#pragma once

#include "epilogue.cuh"
#include "kernels.hpp"
#include "parts.cuh"
#include "tile.cuh"

namespace fastconv::cuda::tiled {

// Where a stage's cells of one column go on: the cell of the tap, and the tap.
struct TapCursor {
  int cell, t, r, s;

  __device__ __forceinline__ void advance(int cells_on, int cells, const Part& part) {
    cell += cells_on;
    while (cell >= cells) {
      cell -= cells;
      if (++s == part.w.taps) {
        s = 0;
        if (++r == part.h.taps) {
          r = 0;
          ++t;
        }
      }
    }
  }
};

template <class T, class Tile, Source source, bool turned_weight>
struct CorrelationLoad {
  static constexpr int cell = source == Source::small_taps ? 8 : 16;
  static constexpr int columns = kRowBytes / cell;        // cells of a row a stage
  static constexpr int apart = Tile::threads / columns;   // rows from one of a thread's to the next
  static constexpr int a_rows = Tile::m / apart, b_rows = Tile::n / apart;
  static constexpr int turned_columns = Tile::n * int(sizeof(T)) / kChunk;
  static constexpr int turned_apart = Tile::threads / turned_columns;
  static constexpr int turned_rows = kDepth<T> / turned_apart;

  const Correlation& c;
  const Part part;
  const char *in, *weight;
  int total, next;   // cells of the reduction; the next one of this thread's column
  TapCursor tap;
  uint32_t pixel[a_rows];   // that the first tap reads, inside or not; rows: or the highest number
  uint32_t lines[a_rows];
  int left[a_rows];
  int first_row, columns_left;

  __device__ __forceinline__ CorrelationLoad(const Correlation& c, const Part& part, int group, int m0, int n0)
      : c(c), part(part), first_row(int(threadIdx.x) / columns), columns_left(c.out_channels - n0) {
    const int column = int(threadIdx.x) % columns;
    total = taps_of(part) * c.cells;
    next = column;
    tap = {column, 0, 0, 0};
    if constexpr (source != Source::rows) tap.advance(0, c.cells, part);
    in = static_cast<const char*>(c.source) + int64_t(group) * c.cells * cell;
    const int positions = positions_of(c, part);
#pragma unroll
    for (int i = 0; i < a_rows; ++i) {
      const int m = m0 + first_row + i * apart;
      if constexpr (source == Source::rows) {
        pixel[i] = m < positions ? uint32_t(m) : ~0u;
      } else {
        const Position at = locate(part, m);
        const int plane = at.d * c.d.stride + part.d.first, row = at.h * c.h.stride + part.h.first;
        const int x = at.w * c.w.stride + part.w.first;
        lines[i] = (uint32_t(plane) << c.lines.shift) + uint32_t(row) + c.lines.bias;
        left[i] = m < positions ? x : -(1 << 30);
        pixel[i] =
            ((uint32_t(at.image) * uint32_t(c.d.in) + uint32_t(plane)) * uint32_t(c.h.in) + uint32_t(row)) *
                uint32_t(c.w.in) +
            uint32_t(x);
      }
    }
    if constexpr (turned_weight) {
      const int turned = int(threadIdx.x) % turned_columns;
      columns_left = turned * kLanes16<T> < columns_left ? 1 : 0;
      next = int(threadIdx.x) / turned_columns;
      weight = static_cast<const char*>(c.weight) +
               (int64_t(group) * c.channels * c.weight_row + n0 / kLanes16<T> + turned) * cell;
    } else {
      const int64_t before = int64_t(group) * c.d.taps * c.h.taps * c.w.taps + taps_before(c, part);
      weight = static_cast<const char*>(c.weight) +
               (before * c.cells * c.out_channels + int64_t(n0 + first_row) * total) * cell;
    }
  }

  __device__ __forceinline__ void copy(char* to, const char* from, bool inside) {
    cp_async<cell>(to, inside ? from : static_cast<const char*>(c.source), inside ? cell : 0);
  }

  __device__ __forceinline__ int place(int row) const {
    const int column = int(threadIdx.x) % columns;
    return chunk_offset<T, false, 0>(row, column * cell / kChunk) + column * cell % kChunk;
  }

  __device__ __forceinline__ void load_source(char* to) {
    if constexpr (source == Source::rows) {
      const bool inside = tap.cell < total;
#pragma unroll
      for (int i = 0; i < a_rows; ++i)
        copy(to + i * apart * kRowBytes, in + (int64_t(pixel[i]) * c.source_pixel + tap.cell) * cell,
             inside && pixel[i] != ~0u);
      tap.cell += columns;
    } else {
      const uint32_t t = uint32_t(tap.t), r = uint32_t(tap.r), line = t * c.d.line_step + r * c.h.line_step;
      const int dx = tap.s * c.w.step;
      const uint32_t on = t * c.d.pixel_step + r * c.h.pixel_step + uint32_t(dx);
      const bool inside = next < total;
#pragma unroll
      for (int i = 0; i < a_rows; ++i) {
        const uint32_t at = lines[i] + line;
        const bool hit = inside & ((at & ~(at - c.lines.extents) & c.lines.bias) == c.lines.bias) &
                         (unsigned(left[i] + dx) < unsigned(c.w.in));
        copy(to + i * apart * kRowBytes, in + (int64_t(pixel[i] + on) * c.source_pixel + tap.cell) * cell, hit);
      }
      tap.advance(columns, c.cells, part);
    }
  }

  __device__ __forceinline__ void load_weight(char* tile) {
    if constexpr (turned_weight) {
      const int row = int(threadIdx.x) / turned_columns, turned = int(threadIdx.x) % turned_columns;
#pragma unroll
      for (int i = 0; i < turned_rows; ++i) {
        const int k = next + i * turned_apart;
        copy(tile + chunk_offset<T, true, Tile::n>(row + i * turned_apart, turned),
             weight + int64_t(k) * c.weight_row * cell, columns_left > 0 && k < c.channels);
      }
      next += kDepth<T>;
    } else {
      char* to = tile + place(first_row);
#pragma unroll
      for (int i = 0; i < b_rows; ++i)
        copy(to + i * apart * kRowBytes, weight + (int64_t(i * apart) * total + next) * cell,
             next < total && first_row + i * apart < columns_left);
      next += columns;
    }
  }

  __device__ __forceinline__ void operator()(char* stage) {
    load_source(stage + place(first_row));
    load_weight(stage + Tile::a_bytes);
  }
};

template <class T, class Tile, bool turned_weight>
constexpr int kBlocks = Tile::template blocks_with<T, turned_weight>;

template <class T, class Tile, Source source, bool turned_weight>
__global__ void __launch_bounds__(Tile::threads, kBlocks<T, Tile, turned_weight>)
    correlation_kernel(const __grid_constant__ Correlation c) {
  const int parts = source == Source::rows ? 1 : parts_of(c), group = int(blockIdx.z) / parts;
  const Part part = part_of(c, int(blockIdx.z) % parts);
  const int column_tiles = (c.out_channels + Tile::n - 1) / Tile::n;
  const int m0 = int(blockIdx.x) / column_tiles * Tile::m, n0 = int(blockIdx.x) % column_tiles * Tile::n;
  if (m0 >= positions_of(c, part)) return;   // parts differ by a plane, a row and a column

  char* shared = dynamic_shared<char>();
  typename Tile::template Sums<T, false, turned_weight> sums;
  CorrelationLoad<T, Tile, source, turned_weight> load(c, part, group, m0, n0);
  const int stages = (load.total + load.columns - 1) / load.columns;
  multiply<Tile>(sums, shared, stages, load);
  write_result<T, Tile>(c, part, group, m0, n0, sums, shared);
}

}   // namespace fastconv::cuda::tiled
