// The launchers of the tiled kernels and of what prepares their operands. Unit computes the products:
// TensorCore those of half, bfloat16 and, rounded to TF32, float; Simt those of float and double.
#pragma once

#include "geometry.hpp"

namespace fastconv::cuda {
struct half;
struct bfloat16;
}   // namespace fastconv::cuda

namespace fastconv::cuda::tiled {

struct TensorCore;   // tensor_core_tile.cuh
struct Simt;         // simt_tile.cuh

// Of a block's results, rows x columns: large 128x128, tall 128x64, wide 64x128, square 64x64, narrow 128x32.
enum class Shape : uint8_t { large, tall, wide, square, narrow };
// rows: one tap of stride 1, nothing outside: the source is a matrix. small_taps: cells of 8 bytes.
enum class Source : uint8_t { rows, taps, small_taps };

struct Call {
  const Device& device;
  const char* operation;
};

// small_taps: tall or narrow, 16 bits; turned: rows; wide: never. Simt has large, square and narrow, of double
// and of turned weights square alone.
template <class Unit, class T>
void launch_correlation(const Call&, const Correlation&, Shape, Source, bool turned_weight);
// cell: 16; or 8 with square, 16 bits. Never tall or narrow. Simt has large and square, of double square alone.
template <class Unit, class T>
void launch_weight_gradient(const Call&, const WeightGradient&, Shape, int cell);

// An (N, groups * channels, *spatial) array into cells: (N, pixels, groups, cells), the last one of a group
// filled with zeros.
struct CellCopy {
  const void* from;
  void* to;
  int64_t batch, pixels;
  int groups, channels, cells;
  bool planar;
};
template <class T>
void copy_to_cells(const Call&, const CellCopy&, int cell);

// The weight, OIHW or its transpose, into rows of taps times cells, part by part of `c`, for `c.weight`.
struct WeightCopy {
  const void* from;
  void* to;
  int64_t group, out, in;   // elements from one to the next; of a tap: 1
  int kernel_h, kernel_w;
};
template <class T>
void pack_weight(const Call&, const Correlation& c, const WeightCopy&, int cell);

// Adds up the splits in order, rounds once and writes OIHW.
template <class T>
void finish_weight_gradient(const Call&, const WeightGradient& c, int cell, void* dw);

// db[k] = sum over positions of grad[k], in two steps: `slices` ranges of positions, each of them by
// `kBiasRows` threads a channel, then their sums in order.
constexpr int kBiasRows = 8;
template <class T>
void bias_gradient(const Call&, const WeightGradient& c, int slices, void* partial, void* db);

}   // namespace fastconv::cuda::tiled
