// The instances of the weight's gradient that can be launched.
#pragma once

#include <type_traits>

#include "../launch.cuh"
#include "kernels.hpp"
#include "weight_gradient.cuh"

namespace fastconv::cuda::tiled {

template <class T, class Tile, int cell>
void start(const Call& call, const WeightGradient& c) {
  const int64_t columns = int64_t(c.taps) * c.cells * cell / int64_t(sizeof(T));
  const dim3 grid(unsigned(ceil_div(c.out_channels, Tile::m) * ceil_div(columns, Tile::n)), 1,
                  unsigned(c.groups * c.splits));
  launch(call.operation, weight_gradient_kernel<T, Tile, cell>, grid, Tile::threads, Tile::shared_bytes,
         call.device.stream, c);
}

template <class Unit, class T>
void launch_weight_gradient(const Call& call, const WeightGradient& c, Shape shape, int cell) {
  if constexpr (sizeof(T) == 2) {
    if (cell == 8) return start<T, typename Unit::Square, 8>(call, c);
  }
  if constexpr (sizeof(T) <= 4) {
    if (shape == Shape::large) return start<T, typename Unit::Large, 16>(call, c);
  }
  if constexpr (std::is_same_v<Unit, TensorCore>) {
    if (shape == Shape::wide) return start<T, typename Unit::Wide, 16>(call, c);
  }
  start<T, typename Unit::Square, 16>(call, c);
}

}   // namespace fastconv::cuda::tiled
