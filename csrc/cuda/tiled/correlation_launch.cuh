// The instances of the correlation that can be launched.
#pragma once

#include <type_traits>

#include "../launch.cuh"
#include "correlation.cuh"
#include "kernels.hpp"

namespace fastconv::cuda::tiled {

template <class T, class Tile, Source source, bool turned>
void start(const Call& call, const Correlation& c) {
  const int64_t positions = int64_t(c.batch) * c.d.part[0].out * c.h.part[0].out * c.w.part[0].out;
  const int64_t blocks = ceil_div(positions, Tile::m) * ceil_div(c.out_channels, Tile::n);
  const dim3 grid(unsigned(blocks), 1, unsigned(c.groups * c.d.parts * c.h.parts * c.w.parts));
  launch(call.operation, correlation_kernel<T, Tile, source, turned>, grid, Tile::threads, Tile::shared_bytes,
         call.device.stream, c);
}

template <class Unit, class T, Source source, bool turned>
void start(const Call& call, const Correlation& c, Shape shape) {
  if constexpr (sizeof(T) <= 4) {
    if (shape == Shape::large) return start<T, typename Unit::Large, source, turned>(call, c);
    if (shape == Shape::narrow) return start<T, typename Unit::Narrow, source, turned>(call, c);
  }
  if constexpr (std::is_same_v<Unit, TensorCore>) {
    if (shape == Shape::tall) return start<T, typename Unit::Tall, source, turned>(call, c);
  }
  start<T, typename Unit::Square, source, turned>(call, c);
}

template <class Unit, class T>
void launch_correlation(const Call& call, const Correlation& c, Shape shape, Source source, bool turned) {
  if constexpr (std::is_same_v<Unit, Simt>) {
    if (turned) return start<T, typename Unit::Square, Source::rows, true>(call, c);
    return start<Unit, T, Source::taps, false>(call, c, shape);
  } else {
    if (source == Source::taps) return start<Unit, T, Source::taps, false>(call, c, shape);
    if constexpr (sizeof(T) == 2) {
      if (source == Source::small_taps)
        return shape == Shape::narrow ? start<T, typename Unit::Narrow, Source::small_taps, false>(call, c)
                                      : start<T, typename Unit::Tall, Source::small_taps, false>(call, c);
    }
    if (turned) return start<Unit, T, Source::rows, true>(call, c, shape);
    start<Unit, T, Source::rows, false>(call, c, shape);
  }
}

}   // namespace fastconv::cuda::tiled
