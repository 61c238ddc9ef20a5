// Images seen as tiles, for Winograd's convolution and its weight gradient: reading them into the domain of
// the products and writing them back, in either memory format.
#pragma once

#include <vector>

#include "../kernels/winograd.hpp"
#include "image_lanes.hpp"

namespace fastconv::cpu {

constexpr int64_t kMostTaps = 25, kMostCells = 36;

// A rectangle of tiles; rows are counted over all images.
struct TileBlock {
  int64_t row0, row1, column0, column1;
  int64_t first;   // tiles in the blocks before it
  int64_t tiles() const { return (row1 - row0) * (column1 - column0); }
};

// Tiles of m x m outputs of an r x r kernel.
struct TileGrid {
  int64_t m, r;
  int64_t rows, columns;                       // tiles of an image
  int64_t all;                                 // of all images
  int64_t edge() const { return m + r - 1; }   // cells of the input that a tile reads, in each dimension
  int64_t products() const { return edge() * edge(); }
};
TileGrid tile_grid(const Correlation&, int64_t m);

// Blocks of at most about `tiles` tiles, nearly equal; so many that `parts` tasks of as many blocks take all.
std::vector<TileBlock> tile_blocks(const TileGrid&, int64_t batch, int64_t tiles, int64_t parts = 1);

// What there are transforms for, whether it pays or not: square kernels of 2x2 to 5x5, not strided, not
// dilated.
bool winograd_possible(const Correlation&);
// Whether they are those of tiles of m x m outputs of an r x r kernel.
bool winograd_takes(const Correlation&, int64_t m, int64_t r);
// Whether images along the vectors are the faster way, of those that are possible.
bool winograd_by_lanes(const Correlation&);
// Whether the products that are saved outweigh the transforms: by the problem alone, never by what is cached.
bool winograd_pays(const Correlation&, MemoryFormat out);
bool winograd_weight_pays(const Correlation&);
// The time, in multiply-adds of the direct way, of what is possible.
double winograd_cost(const Correlation&);
double winograd_weight_cost(const Correlation&);
// The m that takes fewer products: for 3x3 kernels 4, but 2 on some maps of 6x6 and less; one for others.
int64_t winograd_tile(const Correlation&);

template <class T>
const WinogradKernels<T>& winograd_kernels(const TileGrid&);

// Where a matrix of products lies: entry q of tile (or channel) t at data + q * stride + t * pitch.
template <class T>
struct Products {
  T* data;
  ptrdiff_t stride, pitch;

  Products(T* at, int64_t items, int64_t width) : data(at), stride(stride_of(items, width)), pitch(width) {}
  // Off the powers of two: the entries of one item would share a set of the cache.
  static int64_t stride_of(int64_t items, int64_t width) { return (items * width + 1023) / 1024 * 1024 + 16; }
  static size_t bytes(int64_t entries, int64_t items, int64_t width) {
    return size_t(entries * stride_of(items, width)) * sizeof(T);
  }
};

// Channels [first, first + count) of an (N, all, height, width) array.
template <class T>
struct Channels {
  T* data;
  MemoryFormat format;
  int64_t height, width, all, first, count;
};

// Tile (r, c) of an image covers edge x edge cells from (r m + top, c m + left) on; outside the image are
// zeros: of a pixel's channels, or of their vectors.
template <class T>
struct Cells {
  int64_t edge, top, left;
  const T* zeros;
};
// Where the cells of a tile of a turned block lie.
template <class T>
void read_cells(const Turned&, const T* block, const TileGrid&, const Cells<T>&, int64_t tile, const T** to);

// The block's tiles go to `to` in order.
template <class T>
void read_tiles(const TileGrid&, const TileBlock&, const Channels<const T>& in, const Cells<T>&,
                WinogradTransform<T>, const Products<T>& to);

// The m x m outputs of each tile of the block, from products whose first tile is the block's.
template <class T>
void write_tiles(const TileGrid&, const TileBlock&, const Products<T>& from, const T* bias, Activation,
                 const Channels<T>& out);

}   // namespace fastconv::cpu
