// Winograd's F(m x m, r x r), forward and backward-input: tiles of the input and the weight are transformed, a
// matrix product for each of the (m+r-1)^2 entries sums over the input channels, and the products are
// transformed back into tiles of m x m outputs.
//
// The smaller of the two sides is kept: where there are more tiles than output channels, the transformed weight
// is, and each block of tiles runs through all three steps in the cache; else the transformed tiles are, and
// each panel of output channels transforms its weight as it goes, once, in the cache.
#include <algorithm>
#include <cstring>

#include "../../core/memory.hpp"
#include "../isa.hpp"
#include "../tiling.hpp"
#include "winograd_tiles.hpp"

namespace fastconv::cpu {
namespace {

constexpr int64_t kBlockTiles = 30;   // five register tiles
constexpr int64_t kFewBlocks = 12;    // fewer are cut smaller, down to
constexpr int64_t kFewestTiles = 18;
constexpr int64_t kChannelBlock = 64;   // of a weight transformed on the way; narrow panels: twice as many
constexpr int64_t kThinBlock = 16;      // of one transformed before, where there are few

struct Panel {
  int64_t group, first, width, padded;   // output channels of the group
};

Panel panel_of(const Correlation& c, int64_t index, int64_t widest, int64_t lanes) {
  const int64_t panels = div_up(c.out_channels, widest), first = index % panels * widest;
  const int64_t width = std::min(widest, c.out_channels - first);
  return {index / panels, first, width, round_up(width, lanes)};
}

// The weight of a panel's output channels and input channels [begin, end).
template <class T>
void transform_weight(const Correlation& c, const T* weight, const Panel& panel, int64_t begin, int64_t end,
                      WinogradTransform<T> transform, const Products<T>& to) {
  const int64_t kernel = c.taps(), rows = (end - begin) * kernel;
  const memory::Buffer copy(size_t(rows * panel.padded) * sizeof(T));
  T* taps = copy.as<T>();   // [input channel][tap][output channel]
  if (panel.padded > panel.width) std::memset(taps, 0, size_t(rows * panel.padded) * sizeof(T));
  const T* from = weight + panel.group * c.weight_group + panel.first * c.weight_out + begin * c.weight_in;
  const auto& pack = kernels<T>().pack;
  if (c.weight_in == kernel)
    pack.transpose(from, c.weight_out, taps, panel.padded, panel.width, rows);
  else
    for (int64_t i = 0; i < end - begin; ++i)
      pack.transpose(from + i * c.weight_in, c.weight_out, taps + i * kernel * panel.padded, panel.padded,
                     panel.width, kernel);
  const T* cells[kMostTaps];
  for (int64_t i = 0; i < end - begin; ++i) {
    for (int64_t t = 0; t < kernel; ++t)
      cells[t] = taps + (i * kernel + c.weight_base + t / c.w.taps * c.weight_h + t % c.w.taps * c.weight_w) *
                            panel.padded;
    transform(cells, panel.padded, to.data + i * to.pitch, to.stride, kernels<T>().gemm.lanes);
  }
}

// A panel of the transformed weight, and of the products.
template <class T>
struct Factor {
  Panel panel;
  Products<T> weight, products;
};

// products = tiles * weight over input channels [begin, end) of the tiles; the weight begins at `begin`. The
// panels pass over an entry's tiles in turn.
template <class T>
void multiply(const TileGrid& grid, int64_t tiles, int64_t begin, int64_t end, const Products<T>& input,
              const std::vector<Factor<T>>& factors, bool accumulate) {
  const auto& gemm = kernels<T>().gemm;
  const int64_t blocks = depth_blocks(end - begin, gemm.depth);
  PanelArgs<T> args{};
  args.rows = tiles;
  args.run_count = 1;
  args.step = 1;
  args.even = input.data;
  args.a_stride = input.pitch;
  for (int64_t q = 0; q < grid.products(); ++q)
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t i0 = part_begin(end - begin, blocks, b), i1 = part_begin(end - begin, blocks, b + 1);
      const Run<T> run = {nullptr, q * input.stride + begin + i0, 0, i1 - i0};
      args.runs = &run;
      args.accumulate = accumulate || b > 0;
      for (const Factor<T>& factor : factors) {
        const auto& [panel, weight, products] = factor;
        args.columns = panel.width;
        args.b = weight.data + q * weight.stride + i0 * weight.pitch;
        args.c = products.data + q * products.stride;
        args.c_stride = products.pitch;
        gemm.panel(args);
      }
    }
}

template <class T>
Channels<const T> input_of(const Correlation& c, const CorrelationData<T>& data, int64_t group) {
  return {data.in,      data.in_format, c.h.in, c.w.in, c.groups * c.in_channels, group * c.in_channels,
          c.in_channels};
}

template <class T>
Channels<T> output_of(const Correlation& c, const CorrelationData<T>& data, const Panel& panel) {
  return {data.out,   data.out_format,           c.h.out,
          c.w.out,    c.groups * c.out_channels, panel.group * c.out_channels + panel.first,
          panel.width};
}

template <class T>
const T* bias_of(const Correlation& c, const CorrelationData<T>& data, const Panel& panel) {
  return data.bias ? data.bias + panel.group * c.out_channels + panel.first : nullptr;
}

double product_flops(const Correlation& c, const TileGrid& grid, int64_t tiles, int64_t width) {
  return 2.0 * double(grid.products() * tiles) * double(c.in_channels * width);
}

// The weight is kept.
template <class T>
void run_by_blocks(const Correlation& c, const CorrelationData<T>& data, const TileGrid& grid) {
  const auto& gemm = kernels<T>().gemm;
  const WinogradKernels<T>& transforms = winograd_kernels<T>(grid);
  const int64_t widest = gemm.lanes * gemm.vectors, panels = div_up(c.out_channels, widest);
  const int64_t entries = grid.products(), part = entries * Products<T>::stride_of(c.in_channels, widest);
  const memory::Buffer weights(size_t(c.groups * panels * part) * sizeof(T));
  const auto weight_of = [&](int64_t index, const Panel& panel) {
    return Products<T>(weights.as<T>() + index * part, c.in_channels, panel.padded);
  };
  const int64_t slices = std::clamp(div_up(kChunks, c.groups * panels), div_up(c.in_channels, kChannelBlock),
                                    div_up(c.in_channels, kThinBlock));
  parallel_items(c.groups * panels * slices,
                 kMoveFlops * double(entries * div_up(c.in_channels, slices) * widest), [&](int64_t task) {
                   const Panel panel = panel_of(c, task / slices, widest, gemm.lanes);
                   const int64_t begin = part_begin(c.in_channels, slices, task % slices);
                   const int64_t end = part_begin(c.in_channels, slices, task % slices + 1);
                   Products<T> to = weight_of(task / slices, panel);
                   to.data += begin * to.pitch;
                   transform_weight(c, data.weight, panel, begin, end, transforms.weight, to);
                 });

  const int64_t wanted = std::clamp(grid.all * c.groups / kFewBlocks, kFewestTiles, kBlockTiles);
  const std::vector<TileBlock> blocks = tile_blocks(grid, c.batch, wanted);
  const std::vector<T> zeros(size_t(c.in_channels));
  const double flops = product_flops(c, grid, blocks.front().tiles(), c.out_channels);
  parallel_items(c.groups * int64_t(blocks.size()), flops, [&](int64_t task) {
    const int64_t g = task % c.groups;
    const TileBlock& block = blocks[size_t(task / c.groups)];
    const int64_t tiles = block.tiles(), pitch = round_up(c.in_channels, gemm.lanes) + gemm.lanes;
    const memory::Buffer input_buffer(Products<T>::bytes(entries, tiles, pitch));
    const int64_t product_size = entries * Products<T>::stride_of(tiles, widest);
    const memory::Buffer product_buffer(size_t(gemm.bundle * product_size) * sizeof(T));
    const Products<T> input(input_buffer.as<T>(), tiles, pitch);
    read_tiles(grid, block, input_of(c, data, g), {grid.edge(), c.h.first, c.w.first, zeros.data()},
               transforms.input, input);
    std::vector<Factor<T>> factors;
    for (int64_t first = 0; first < panels; first += gemm.bundle) {
      factors.clear();
      for (int64_t j = first; j < std::min(panels, first + gemm.bundle); ++j) {
        const Panel panel = panel_of(c, g * panels + j, widest, gemm.lanes);
        T* const products = product_buffer.as<T>() + (j - first) * product_size;
        factors.push_back({panel, weight_of(g * panels + j, panel), {products, tiles, panel.padded}});
      }
      multiply(grid, tiles, 0, c.in_channels, input, factors, false);
      for (const Factor<T>& factor : factors)
        write_tiles(grid, block, factor.products, bias_of(c, data, factor.panel), data.activation,
                    output_of(c, data, factor.panel));
    }
  });
}

// The tiles are kept.
template <class T>
void run_by_panels(const Correlation& c, const CorrelationData<T>& data, const TileGrid& grid) {
  const auto& gemm = kernels<T>().gemm;
  const WinogradKernels<T>& transforms = winograd_kernels<T>(grid);
  // A task computes a panel, or half of one where there are few; of the narrowest two.
  const int64_t full = gemm.lanes * gemm.vectors;
  const int64_t channels = gemm.bundle == 1 ? kChannelBlock : 2 * kChannelBlock;
  const bool few = gemm.bundle == 1 && c.groups * div_up(c.out_channels, full) < kChunks;
  const int64_t widest = few ? full / 2 : full, panels = div_up(c.out_channels, widest);
  const int64_t bundle = div_up(gemm.bundle, 2), units = div_up(panels, bundle);
  const int64_t entries = grid.products(), pitch = round_up(c.in_channels, gemm.lanes) + gemm.lanes;
  const int64_t bundles = std::clamp<int64_t>(kChunks / (c.groups * units), 1, div_up(grid.all, kBlockTiles));
  const std::vector<TileBlock> blocks = tile_blocks(grid, c.batch, kBlockTiles, bundles);
  const std::vector<T> zeros(size_t(c.in_channels));
  const int64_t part = entries * Products<T>::stride_of(grid.all, pitch);
  const memory::Buffer tiles(size_t(c.groups * part) * sizeof(T));
  const auto input_from = [&](int64_t group, int64_t first) {
    Products<T> input(tiles.as<T>() + group * part, grid.all, pitch);
    input.data += first * pitch;
    return input;
  };
  const int64_t slices = div_up(c.in_channels, kChannelBlock);
  parallel_items(c.groups * int64_t(blocks.size()) * slices,
                 kMoveFlops * double(entries * kBlockTiles * kChannelBlock), [&](int64_t task) {
                   const int64_t slice = task % slices, g = task / slices % c.groups;
                   const TileBlock& block = blocks[size_t(task / slices / c.groups)];
                   const int64_t i0 = part_begin(c.in_channels, slices, slice);
                   Channels<const T> from = input_of(c, data, g);
                   from.first += i0;
                   from.count = part_begin(c.in_channels, slices, slice + 1) - i0;
                   Products<T> to = input_from(g, block.first);
                   to.data += i0;
                   read_tiles(grid, block, from, {grid.edge(), c.h.first, c.w.first, zeros.data()},
                              transforms.input, to);
                 });

  const double flops =
      product_flops(c, grid, div_up(grid.all, bundles), std::min(widest * bundle, c.out_channels));
  parallel_items(c.groups * units * bundles, flops, [&](int64_t task) {
    const int64_t g = task / bundles / units, unit = task / bundles % units;
    const TileBlock* begin = &blocks[size_t(part_begin(int64_t(blocks.size()), bundles, task % bundles))];
    const TileBlock* end = blocks.data() + part_begin(int64_t(blocks.size()), bundles, task % bundles + 1);
    const int64_t count = end[-1].first + end[-1].tiles() - begin->first;
    const int64_t weight_size = entries * Products<T>::stride_of(channels, widest);
    const int64_t product_size = entries * Products<T>::stride_of(count, widest);
    const memory::Buffer buffer(size_t(bundle * (weight_size + product_size)) * sizeof(T));
    std::vector<Factor<T>> factors;
    T* at = buffer.as<T>();
    for (int64_t j = unit * bundle; j < std::min(panels, (unit + 1) * bundle);
         ++j, at += weight_size + product_size) {
      const Panel panel = panel_of(c, g * panels + j, widest, gemm.lanes);
      factors.push_back({panel, {at, channels, panel.padded}, {at + weight_size, count, panel.padded}});
    }
    for (int64_t i = 0; i < c.in_channels; i += channels) {
      const int64_t until = std::min(c.in_channels, i + channels);
      for (const Factor<T>& factor : factors)
        transform_weight(c, data.weight, factor.panel, i, until, transforms.weight, factor.weight);
      multiply(grid, count, i, until, input_from(g, begin->first), factors, i > 0);
    }
    for (Factor<T>& factor : factors)
      for (const TileBlock* block = begin; block < end; ++block) {
        write_tiles(grid, *block, factor.products, bias_of(c, data, factor.panel), data.activation,
                    output_of(c, data, factor.panel));
        factor.products.data += block->tiles() * factor.products.pitch;
      }
  });
}

template <class T, int m>
void run(const Correlation& c, const CorrelationData<T>& data) {
  const TileGrid grid = tile_grid(c, m);
  (grid.all >= c.out_channels ? run_by_blocks<T> : run_by_panels<T>)(c, data, grid);
}

template <int m, int r>
bool accepts(const Correlation& c, MemoryFormat, MemoryFormat) {
  return winograd_takes(c, m, r);
}

template <int m, int r>
constexpr CorrelationAlgorithm algorithm(const char* name) {
  return {name, accepts<m, r>, run<float, m>, run<double, m>, nullptr, nullptr, 1, m};
}

}   // namespace

const CorrelationAlgorithm winograd_2x2_3x3 = algorithm<2, 3>("winograd-2x2-3x3");
const CorrelationAlgorithm winograd_4x4_3x3 = algorithm<4, 3>("winograd-4x4-3x3");
const CorrelationAlgorithm winograd_2x2_5x5 = algorithm<2, 5>("winograd-2x2-5x5");
const CorrelationAlgorithm winograd_3x3_4x4 = algorithm<3, 4>("winograd-3x3-4x4");
const CorrelationAlgorithm winograd_4x4_2x2 = algorithm<4, 2>("winograd-4x4-2x2");

}   // namespace fastconv::cpu
