// Gradient of the weight by Winograd's F(r x r, m x m): tiles of the input and of the gradient are transformed,
// a matrix product for each of the (m+r-1)^2 entries sums over tiles, and each product matrix is transformed
// back into r x r taps. Tiles are taken by the stage, as many as the cache holds transformed.
#include <algorithm>
#include <cstring>

#include "../../core/memory.hpp"
#include "../isa.hpp"
#include "../tiling.hpp"
#include "winograd_tiles.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kBlockTiles = 32;
constexpr int64_t kRows = 64;              // input channels a task
constexpr int64_t kTileRows = 24;          // of them that narrow panels pass over in turn
constexpr int64_t kStageBytes = 4 << 20;   // of transformed tiles
constexpr int64_t kStageTiles = 128;       // at least: the depth of a register tile's products
constexpr int64_t kTasks = 64;             // of a stage's products, about
constexpr int64_t kFinishRows = 16;        // input channels that are transformed back together
constexpr int64_t kSumRows = 4096;         // pixels a partial sum of the bias gradient

// How the work is cut, from the problem alone.
struct Partition {
  int64_t panel, panels;   // output channels a panel; panels a group
  int64_t bundles;         // of panels that one task multiplies
  int64_t slices;          // parts of the input channels
  int64_t stage;           // blocks of tiles a stage
  int64_t splits;          // parts of the entries
};

template <class T>
Partition partition(const Correlation& c, const TileGrid& grid, int64_t blocks) {
  const auto& gemm = kernels<T>().gemm;
  Partition part{};
  part.panel = gemm.lanes * gemm.vectors;
  part.panels = div_up(c.out_channels, part.panel);
  part.bundles = div_up(part.panels, gemm.bundle);
  part.slices = div_up(c.in_channels, kRows);
  const int64_t tile_bytes = grid.products() * c.groups * (c.in_channels + c.out_channels) * int64_t(sizeof(T));
  const int64_t fewest = div_up(kStageTiles, kBlockTiles);
  part.stage = std::clamp<int64_t>(kStageBytes / (tile_bytes * kBlockTiles), fewest, std::max(fewest, blocks));
  part.splits = std::clamp<int64_t>(kTasks / (c.groups * part.bundles * part.slices), 1, grid.products());
  return part;
}

// The transformed tiles of a stage, and the sums of products.
template <class T>
struct Workspace {
  int64_t entries, tiles, pitch, panel;
  int64_t input_part, gradient_part, sum_part;   // elements a group, a panel, a (panel, slice)
  memory::Buffer input, gradient, sums;
  std::vector<T> zeros;   // of a pixel's channels

  Workspace(const Correlation& c, const TileGrid& grid, const Partition& part, int64_t lanes, int64_t most)
      : entries(grid.products()),
        tiles(most),
        pitch(round_up(c.in_channels, lanes) + lanes),
        panel(part.panel),
        input_part(entries * Products<T>::stride_of(tiles, pitch)),
        gradient_part(entries * Products<T>::stride_of(tiles, panel)),
        sum_part(entries * Products<T>::stride_of(kRows, panel)),
        input(size_t(c.groups * input_part) * sizeof(T)),
        gradient(size_t(c.groups * part.panels * gradient_part) * sizeof(T)),
        sums(size_t(c.groups * part.panels * part.slices * sum_part) * sizeof(T)),
        zeros(size_t(std::max(c.in_channels, part.panel))) {}

  Products<T> input_of(int64_t group, int64_t tile) const {
    return at(input.as<T>() + group * input_part, tiles, pitch, tile);
  }
  Products<T> gradient_of(int64_t index, int64_t padded, int64_t tile) const {
    return at(gradient.as<T>() + index * gradient_part, tiles, padded, tile);
  }
  Products<T> sums_of(int64_t index, int64_t padded) const {
    return {sums.as<T>() + index * sum_part, kRows, padded};
  }

 private:
  static Products<T> at(T* data, int64_t items, int64_t width, int64_t item) {
    Products<T> products(data, items, width);
    products.data += item * width;
    return products;
  }
};

// db[k] = sum of the gradient of channel k, in fixed parts added in order.
template <class T>
void bias_gradient(const Correlation& c, const WeightGradientData<T>& data) {
  const auto& pack = kernels<T>().pack;
  const int64_t channels = c.groups * c.out_channels, pixels = c.pixels();
  if (data.grad_format == MemoryFormat::contiguous)
    return parallel_items(channels, kMoveFlops * double(c.batch * pixels) / 8, [&](int64_t k) {
      T sum = 0;
      for (int64_t n = 0; n < c.batch; ++n) sum += pack.sum(data.grad + (n * channels + k) * pixels, pixels);
      data.db[k] = sum;
    });
  const int64_t rows = c.batch * pixels, parts = div_up(rows, kSumRows);
  const memory::Buffer buffer(size_t(parts * channels) * sizeof(T));
  T* sums = buffer.as<T>();
  parallel_items(parts, kMoveFlops * double(kSumRows * channels) / 8, [&](int64_t i) {
    std::memset(sums + i * channels, 0, size_t(channels) * sizeof(T));
    const int64_t begin = part_begin(rows, parts, i), end = part_begin(rows, parts, i + 1);
    pack.add_rows(data.grad + begin * channels, channels, end - begin, channels, sums + i * channels);
  });
  std::memset(data.db, 0, size_t(channels) * sizeof(T));
  pack.add_rows(sums, channels, parts, channels, data.db);
}

template <class T>
struct Job {
  const Correlation& c;
  const WeightGradientData<T>& data;
  const TileGrid& grid;
  const Partition& part;
  const Workspace<T>& work;

  int64_t width(int64_t panel) const {
    return std::min(part.panel, c.out_channels - panel % part.panels * part.panel);
  }
  int64_t padded(int64_t panel) const { return round_up(width(panel), kernels<T>().gemm.lanes); }
};

// One block of a stage whose tiles begin at `first`: a slice of the input's channels.
template <class T>
void transform_input(const Job<T>& job, int64_t group, int64_t slice, const TileBlock& block, int64_t first) {
  const Correlation& c = job.c;
  const int64_t i0 = part_begin(c.in_channels, job.part.slices, slice);
  const int64_t i1 = part_begin(c.in_channels, job.part.slices, slice + 1);
  Products<T> to = job.work.input_of(group, block.first - first);
  to.data += i0;
  read_tiles<T>(job.grid, block,
                {job.data.x, job.data.x_format, c.h.in, c.w.in, c.groups * c.in_channels,
                 group * c.in_channels + i0, i1 - i0},
                {job.grid.edge(), c.h.first, c.w.first, job.work.zeros.data()},
                winograd_kernels<T>(job.grid).input, to);
}

// The same: a panel of the gradient.
template <class T>
void transform_gradient(const Job<T>& job, int64_t group, int64_t j, const TileBlock& block, int64_t first) {
  const Correlation& c = job.c;
  const int64_t index = group * job.part.panels + j, width = job.width(j), padded = job.padded(j);
  const Products<T> to = job.work.gradient_of(index, padded, block.first - first);
  if (padded > width)
    for (int64_t q = 0; q < job.grid.products(); ++q)
      std::memset(to.data + q * to.stride, 0, size_t(block.tiles() * padded) * sizeof(T));
  read_tiles<T>(job.grid, block,
                {job.data.grad, job.data.grad_format, c.h.out, c.w.out, c.groups * c.out_channels,
                 group * c.out_channels + j * job.part.panel, width},
                {job.grid.m, 0, 0, job.work.zeros.data()}, winograd_kernels<T>(job.grid).gradient, to);
}

// Adds the products of a stage's first `tiles` tiles to the sums: of entries [q0, q1), the panels of a bundle
// in turn while an entry's rows are in the cache.
template <class T>
void multiply(const Job<T>& job, int64_t group, int64_t bundle, int64_t slice, int64_t q0, int64_t q1,
              int64_t tiles, bool accumulate) {
  const auto& gemm = kernels<T>().gemm;
  const Partition& part = job.part;
  const int64_t i0 = part_begin(job.c.in_channels, part.slices, slice);
  const int64_t rows = part_begin(job.c.in_channels, part.slices, slice + 1) - i0;
  const int64_t first = group * part.panels + part_begin(part.panels, part.bundles, bundle);
  const int64_t last = group * part.panels + part_begin(part.panels, part.bundles, bundle + 1);
  const Products<T> input = job.work.input_of(group, 0);
  const int64_t blocks = depth_blocks(tiles, gemm.depth), few = gemm.bundle == 1 ? rows : kTileRows;
  PanelArgs<T> args{};
  args.run_count = 1;
  args.step = input.pitch;
  args.a_stride = 1;
  for (int64_t q = q0; q < q1; ++q)
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t t0 = part_begin(tiles, blocks, b), t1 = part_begin(tiles, blocks, b + 1);
      const Run<T> run = {nullptr, q * input.stride + t0 * input.pitch, 0, t1 - t0};
      args.runs = &run;
      args.accumulate = accumulate || b > 0;
      for (int64_t m = 0; m < rows; m += few)
        for (int64_t panel = first; panel < last; ++panel) {
          const int64_t padded = job.padded(panel);
          const Products<T> gradient = job.work.gradient_of(panel, padded, 0);
          const Products<T> sums = job.work.sums_of(panel * part.slices + slice, padded);
          args.rows = std::min(few, rows - m);
          args.even = input.data + i0 + m;
          args.columns = job.width(panel);
          args.b = gradient.data + q * gradient.stride + t0 * padded;
          args.c = sums.data + q * sums.stride + m * padded;
          args.c_stride = padded;
          gemm.panel(args);
        }
    }
}

// Transforms back: a part of a slice's input channels.
template <class T>
void finish(const Job<T>& job, int64_t panel, int64_t slice, int64_t part) {
  constexpr int64_t parts = kRows / kFinishRows;
  const Correlation& c = job.c;
  const int64_t begin = part_begin(c.in_channels, job.part.slices, slice);
  const int64_t all = part_begin(c.in_channels, job.part.slices, slice + 1) - begin;
  const int64_t r0 = part_begin(all, parts, part), rows = part_begin(all, parts, part + 1) - r0,
                i0 = begin + r0;
  if (rows == 0) return;
  const int64_t padded = job.padded(panel);
  Products<T> sums = job.work.sums_of(panel * job.part.slices + slice, padded);
  sums.data += r0 * padded;
  // [input channel][tap][output channel]
  const memory::Buffer taps(size_t(rows * c.taps() * padded) * sizeof(T));
  T* cells[kMostTaps];
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t t = 0; t < c.taps(); ++t) cells[t] = taps.as<T>() + (i * c.taps() + t) * padded;
    winograd_kernels<T>(job.grid).weight_gradient(sums.data + i * padded, sums.stride, padded, cells, nullptr,
                                                  false);
  }
  const int64_t k = panel / job.part.panels * c.out_channels + panel % job.part.panels * job.part.panel;
  kernels<T>().pack.transpose(taps.as<T>(), padded, job.data.dw + (k * c.in_channels + i0) * c.taps(),
                              c.in_channels * c.taps(), rows * c.taps(), job.width(panel));
}

template <class T>
void run(const Correlation& c, const WeightGradientData<T>& data) {
  const TileGrid grid = tile_grid(c, winograd_tile(c));
  const std::vector<TileBlock> blocks = tile_blocks(grid, c.batch, kBlockTiles);
  const int64_t count = int64_t(blocks.size());
  const Partition part = partition<T>(c, grid, count);
  // Blocks differ by a row at most.
  const auto end_of = [&](int64_t i) { return blocks[size_t(i - 1)].first + blocks[size_t(i - 1)].tiles(); };
  int64_t most = 0;
  for (int64_t b0 = 0; b0 < count; b0 += part.stage)
    most = std::max(most, end_of(std::min(count, b0 + part.stage)) - blocks[size_t(b0)].first);
  const Workspace<T> work(c, grid, part, kernels<T>().gemm.lanes, most);
  const Job<T> job = {c, data, grid, part, work};

  const int64_t panels = c.groups * part.panels;
  const double flops = 2.0 * double(grid.products() * most) * double(c.in_channels * c.out_channels) /
                       double(part.bundles * part.slices * part.splits);
  const double moved = kMoveFlops * double(grid.products() * kBlockTiles * kRows);
  const int64_t bands = part.slices + part.panels;   // of a block's channels
  for (int64_t b0 = 0; b0 < count; b0 += part.stage) {
    const int64_t b1 = std::min(count, b0 + part.stage), first = blocks[size_t(b0)].first;
    parallel_items((b1 - b0) * c.groups * bands, moved, [&](int64_t task) {
      const TileBlock& block = blocks[size_t(b0 + task / (c.groups * bands))];
      const int64_t group = task / bands % c.groups, band = task % bands;
      band < part.slices ? transform_input(job, group, band, block, first)
                         : transform_gradient(job, group, band - part.slices, block, first);
    });
    parallel_items(c.groups * part.bundles * part.slices * part.splits, flops, [&](int64_t task) {
      const int64_t split = task % part.splits, pair = task / part.splits, bundle = pair / part.slices;
      multiply(job, bundle / part.bundles, bundle % part.bundles, pair % part.slices,
               part_begin(grid.products(), part.splits, split),
               part_begin(grid.products(), part.splits, split + 1), end_of(b1) - first, b0 > 0);
    });
  }
  constexpr int64_t parts = kRows / kFinishRows;
  parallel_items(panels * part.slices * parts, kMoveFlops * double(grid.products() * kFinishRows * part.panel),
                 [&](int64_t task) {
                   const int64_t pair = task / parts;
                   finish(job, pair / part.slices, pair % part.slices, task % parts);
                 });
  if (data.db) bias_gradient(c, data);
}

template <int m, int r>
bool accepts(const Correlation& c, MemoryFormat, MemoryFormat) {
  return winograd_takes(c, m, r);
}

}   // namespace

const WeightGradientAlgorithm winograd_weight_2x2_3x3 = {"winograd-2x2-3x3", accepts<2, 3>, run<float>,
                                                         run<double>};
const WeightGradientAlgorithm winograd_weight_4x4_3x3 = {"winograd-4x4-3x3", accepts<4, 3>, run<float>,
                                                         run<double>};
const WeightGradientAlgorithm winograd_weight_2x2_5x5 = {"winograd-2x2-5x5", accepts<2, 5>, run<float>,
                                                         run<double>};
const WeightGradientAlgorithm winograd_weight_3x3_4x4 = {"winograd-3x3-4x4", accepts<3, 4>, run<float>,
                                                         run<double>};
const WeightGradientAlgorithm winograd_weight_4x4_2x2 = {"winograd-4x4-2x2", accepts<4, 2>, run<float>,
                                                         run<double>};

}   // namespace fastconv::cpu
