#include "winograd_tiles.hpp"

#include <algorithm>

#include "../../core/memory.hpp"
#include "../activation.hpp"
#include "../isa.hpp"
#include "../tiling.hpp"

namespace fastconv::cpu {
namespace {

// The part of one image that a block covers: its tile rows [row0, row1), and where they are in the block.
struct Stretch {
  int64_t image, row0, row1, first_tile;
};

std::vector<Stretch> stretches(const TileGrid& grid, const TileBlock& block) {
  std::vector<Stretch> list;
  for (int64_t row = block.row0; row < block.row1;) {
    const int64_t begin = row % grid.rows, end = std::min(grid.rows, begin + block.row1 - row);
    list.push_back({row / grid.rows, begin, end, (row - block.row0) * (block.column1 - block.column0)});
    row += end - begin;
  }
  return list;
}

// The pixels [y0, y1) x [x0, x1) of an image, some channels of each side by side: in the array itself or in a
// copy.
template <class T>
struct Strip {
  int64_t y0, y1, x0, x1;
  T* data;   // pixel (y0, x0)
  ptrdiff_t line, pixel;

  T* at(int64_t y, int64_t x) const { return data + (y - y0) * line + (x - x0) * pixel; }
  bool holds(int64_t y, int64_t x) const { return y >= y0 && y < y1 && x >= x0 && x < x1; }
};

template <class T>
Strip<T> strip_of(const Channels<T>& array, int64_t image, int64_t y0, int64_t y1, int64_t x0, int64_t x1,
                  T* copy) {
  y1 = std::max(y0, y1);
  x1 = std::max(x0, x1);
  if (array.format == MemoryFormat::contiguous)
    return {y0, y1, x0, x1, copy, (x1 - x0) * array.count, array.count};
  T* data = array.data + ((image * array.height + y0) * array.width + x0) * array.all + array.first;
  return {y0, y1, x0, x1, data, array.width * array.all, array.all};
}

// Of the copy that strips of a block need: none where the array's own pixels serve.
template <class T>
int64_t copy_elements(const TileGrid& grid, const TileBlock& block, const Channels<T>& array, int64_t edge) {
  if (array.format != MemoryFormat::contiguous) return 0;
  const int64_t rows = std::min(grid.rows, block.row1 - block.row0), columns = block.column1 - block.column0;
  return ((rows - 1) * grid.m + edge) * ((columns - 1) * grid.m + edge) * array.count;
}

template <class T>
T* first_plane(const Channels<T>& array, int64_t image) {
  return array.data + (image * array.all + array.first) * array.height * array.width;
}

}   // namespace

TileGrid tile_grid(const Correlation& c, int64_t m) {
  const int64_t rows = div_up(c.h.out, m), columns = div_up(c.w.out, m);
  return {m, c.h.taps, rows, columns, c.batch * rows * columns};
}

std::vector<TileBlock> tile_blocks(const TileGrid& grid, int64_t batch, int64_t tiles, int64_t parts) {
  const int64_t across = div_up(grid.columns, tiles), wide = div_up(grid.columns, across);
  const int64_t all_rows = batch * grid.rows, fewest = div_up(all_rows, std::max<int64_t>(1, tiles / wide));
  const int64_t down = std::min(all_rows, round_up(fewest, parts));
  std::vector<TileBlock> blocks;
  int64_t first = 0;
  for (int64_t i = 0; i < down; ++i)
    for (int64_t j = 0; j < across; ++j) {
      blocks.push_back({part_begin(all_rows, down, i), part_begin(all_rows, down, i + 1),
                        part_begin(grid.columns, across, j), part_begin(grid.columns, across, j + 1), first});
      first += blocks.back().tiles();
    }
  return blocks;
}

template <class T>
const WinogradKernels<T>& winograd_kernels(const TileGrid& grid) {
  const KernelTable<T>& table = kernels<T>();
  switch (grid.r) {
    case 2:
      return table.winograd_4x4_2x2;
    case 4:
      return table.winograd_3x3_4x4;
    case 5:
      return table.winograd_2x2_5x5;
  }
  return grid.m == 2 ? table.winograd_2x2_3x3 : table.winograd_4x4_3x3;
}
template const WinogradKernels<float>& winograd_kernels(const TileGrid&);
template const WinogradKernels<double>& winograd_kernels(const TileGrid&);

template <class T>
void read_cells(const Turned& t, const T* block, const TileGrid& grid, const Cells<T>& cells, int64_t tile,
                const T** to) {
  const int64_t lanes = kernels<T>().gemm.lanes;
  const int64_t y0 = tile / grid.columns * grid.m + cells.top, x0 = tile % grid.columns * grid.m + cells.left;
  for (int64_t y = y0; y < y0 + cells.edge; ++y)
    for (int64_t x = x0; x < x0 + cells.edge; ++x) {
      const bool inside = y >= 0 && y < t.height && x >= 0 && x < t.columns;
      *to++ = inside ? block + (y * t.line + x * t.column) * lanes : cells.zeros;
    }
}
template void read_cells(const Turned&, const float*, const TileGrid&, const Cells<float>&, int64_t,
                         const float**);
template void read_cells(const Turned&, const double*, const TileGrid&, const Cells<double>&, int64_t,
                         const double**);

template <class T>
void read_tiles(const TileGrid& grid, const TileBlock& block, const Channels<const T>& in,
                const Cells<T>& cells, WinogradTransform<T> transform, const Products<T>& to) {
  const memory::Buffer copy(size_t(copy_elements(grid, block, in, cells.edge)) * sizeof(T));
  const int64_t left = block.column0 * grid.m + cells.left;
  const int64_t right = (block.column1 - 1) * grid.m + cells.left + cells.edge;
  const int64_t x0 = std::clamp<int64_t>(left, 0, in.width), x1 = std::min(in.width, right);
  const T* cell[kMostCells];
  for (const Stretch& stretch : stretches(grid, block)) {
    const int64_t y0 = std::clamp<int64_t>(stretch.row0 * grid.m + cells.top, 0, in.height);
    const int64_t y1 = std::min(in.height, (stretch.row1 - 1) * grid.m + cells.top + cells.edge);
    const Strip<const T> strip = strip_of<const T>(in, stretch.image, y0, y1, x0, x1, copy.as<T>());
    if (in.format == MemoryFormat::contiguous)
      for (int64_t y = y0; y < y1; ++y)
        kernels<T>().pack.transpose(first_plane(in, stretch.image) + y * in.width + x0, in.height * in.width,
                                    copy.as<T>() + (y - y0) * strip.line, in.count, in.count, strip.x1 - x0);
    T* out = to.data + stretch.first_tile * to.pitch;
    for (int64_t r = stretch.row0; r < stretch.row1; ++r)
      for (int64_t c = block.column0; c < block.column1; ++c, out += to.pitch) {
        const int64_t y = r * grid.m + cells.top, x = c * grid.m + cells.left;
        for (int64_t i = 0; i < cells.edge; ++i)
          for (int64_t j = 0; j < cells.edge; ++j)
            cell[i * cells.edge + j] = strip.holds(y + i, x + j) ? strip.at(y + i, x + j) : cells.zeros;
        transform(cell, in.count, out, to.stride, kernels<T>().gemm.lanes);
      }
  }
}
template void read_tiles(const TileGrid&, const TileBlock&, const Channels<const float>&, const Cells<float>&,
                         WinogradTransform<float>, const Products<float>&);
template void read_tiles(const TileGrid&, const TileBlock&, const Channels<const double>&, const Cells<double>&,
                         WinogradTransform<double>, const Products<double>&);

template <class T>
void write_tiles(const TileGrid& grid, const TileBlock& block, const Products<T>& from, const T* bias,
                 Activation activation, const Channels<T>& out) {
  const memory::Buffer copy(size_t(copy_elements(grid, block, out, grid.m)) * sizeof(T));
  const WinogradInverse<T> inverse = winograd_kernels<T>(grid).output;
  const bool relu = activation == Activation::relu;
  const ActivationKernel<T> finish = relu ? nullptr : activation_kernel<T>(activation);
  const int64_t x0 = block.column0 * grid.m, x1 = std::min(out.width, block.column1 * grid.m);
  T* cell[kMostCells];
  for (const Stretch& stretch : stretches(grid, block)) {
    const int64_t y0 = stretch.row0 * grid.m, y1 = std::min(out.height, stretch.row1 * grid.m);
    const Strip<T> strip = strip_of(out, stretch.image, y0, y1, x0, x1, copy.as<T>());
    const T* tile = from.data + stretch.first_tile * from.pitch;
    for (int64_t r = stretch.row0; r < stretch.row1; ++r)
      for (int64_t c = block.column0; c < block.column1; ++c, tile += from.pitch) {
        for (int64_t i = 0; i < grid.m; ++i)
          for (int64_t j = 0; j < grid.m; ++j) {
            const int64_t y = r * grid.m + i, x = c * grid.m + j;
            cell[i * grid.m + j] = strip.holds(y, x) ? strip.at(y, x) : nullptr;
          }
        inverse(tile, from.stride, out.count, cell, bias, relu);
        for (int64_t i = 0; i < grid.m * grid.m && finish; ++i)
          if (cell[i]) finish(cell[i], cell[i], out.count);
      }
    if (out.format == MemoryFormat::contiguous)
      for (int64_t y = y0; y < y1; ++y)
        kernels<T>().pack.transpose(copy.as<T>() + (y - y0) * strip.line, out.count,
                                    first_plane(out, stretch.image) + y * out.width + x0,
                                    out.height * out.width, x1 - x0, out.count);
  }
}
template void write_tiles(const TileGrid&, const TileBlock&, const Products<float>&, const float*, Activation,
                          const Channels<float>&);
template void write_tiles(const TileGrid&, const TileBlock&, const Products<double>&, const double*, Activation,
                          const Channels<double>&);

}   // namespace fastconv::cpu
