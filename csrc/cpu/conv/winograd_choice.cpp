// Which of Winograd's algorithms runs, and whether one does: estimates in multiply-adds of the time that each
// way takes, of the problem alone. The constants are fitted to measurements.
#include <algorithm>

#include "../tiling.hpp"
#include "winograd_tiles.hpp"

namespace fastconv::cpu {
namespace {

double direct_products(const Correlation& c) { return double(c.batch * c.pixels()) * double(c.depth()); }

// With channels along the vectors. `weight`: the time of an entry of the transformed weight.
double channels_cost(const Correlation& c, double weight) {
  constexpr double kStart = 8, kTransform = 6;   // of a register tile; of an entry of a transform
  const TileGrid grid = tile_grid(c, winograd_tile(c));
  const double products = (double(c.in_channels) + kStart) * double(round_up(c.out_channels, kImageLanes));
  const double entry = double(grid.all) * (products + double(c.in_channels + c.out_channels) * kTransform) +
                       double(c.in_channels * c.out_channels) * weight;
  return double(grid.products()) * entry;
}

// The same for few channels, where what a tile costs whatever its channels counts more.
double few_channels_cost(const Correlation& c) {
  constexpr double kProduct = 1.14, kStart = 12.8, kTile = 325, kWeight = 12.5;
  const TileGrid grid = tile_grid(c, winograd_tile(c));
  const double in = double(c.in_channels), out = double(c.out_channels);
  const double rounded = double(round_up(c.out_channels, kImageLanes));
  return double(grid.products()) *
         (double(grid.all) * ((in * kProduct + kStart) * rounded + kTile) + in * out * kWeight);
}

// With images along the vectors: nothing is rounded up, but all elements are turned.
double lanes_cost(const Correlation& c) {
  constexpr double kProduct = 1.2, kOutput = 7, kInput = 2.3, kTurn = 20, kWeight = 70;
  const TileGrid grid = tile_grid(c, winograd_tile(c));
  const double in = double(c.in_channels), out = double(c.out_channels);
  const double turned = double(c.h.in * c.w.in) * in + double(c.pixels()) * out;
  return double(grid.products() * grid.all) * ((in * kProduct + kOutput) * out + in * kInput) +
         double(c.batch) * turned * kTurn + double(c.depth()) * out * kWeight;
}

}   // namespace

bool winograd_possible(const Correlation& c) {
  const auto plain = [](const Axis& a) { return a.stride == 1 && a.step == 1 && a.dense(); };
  return c.h.taps >= 2 && c.h.taps <= 5 && c.w.taps == c.h.taps && plain(c.h) && plain(c.w);
}

int64_t winograd_tile(const Correlation& c) {
  if (c.h.taps != 3) return c.h.taps == 2 ? 4 : 7 - c.h.taps;
  const TileGrid small = tile_grid(c, 2), large = tile_grid(c, 4);
  return small.all * small.products() <= large.all * large.products() ? 2 : 4;
}

bool winograd_takes(const Correlation& c, int64_t m, int64_t r) {
  return winograd_possible(c) && c.h.taps == r && winograd_tile(c) == m;
}

bool winograd_by_lanes(const Correlation& c) {
  constexpr int64_t kMost = 64;   // channels: the tiles of a product stay in L2
  return c.groups == 1 && !wasteful(c.batch) && std::max(c.in_channels, c.out_channels) <= kMost &&
         lanes_cost(c) < few_channels_cost(c);
}

double winograd_cost(const Correlation& c) {
  return winograd_by_lanes(c) ? lanes_cost(c) : channels_cost(c, 4);
}

double winograd_weight_cost(const Correlation& c) { return 1.25 * channels_cost(c, 24); }

// The margins are measured: in planes the direct way fills its vectors with pixels; channels last both round
// the output channels up, but few of them are computed in planes.
bool winograd_pays(const Correlation& c, MemoryFormat out) {
  if (!winograd_possible(c)) return false;
  if (winograd_by_lanes(c)) return 1.2 * winograd_cost(c) < direct_products(c) * double(c.out_channels);
  const bool rounds = out == MemoryFormat::channels_last && c.out_channels > kImageLanes / 2;
  const double outputs =
      rounds ? 0.85 * double(round_up(c.out_channels, kImageLanes)) : 0.7 * double(c.out_channels);
  return winograd_cost(c) < direct_products(c) * outputs;
}

// On maps smaller than the kernel its outer taps see little but padding: what rounds does not get smaller.
bool winograd_weight_pays(const Correlation& c) {
  return winograd_possible(c) && std::min(c.h.in, c.w.in) >= c.h.taps &&
         winograd_weight_cost(c) < direct_products(c) * double(c.out_channels);
}

}   // namespace fastconv::cpu
