// Where a part's positions, taps and results are.
#pragma once

#include "geometry.hpp"

namespace fastconv::cuda::tiled {

struct Part {
  const AxisPart &d, &h, &w;
};

__device__ __forceinline__ int parts_of(const Correlation& c) { return c.d.parts * c.h.parts * c.w.parts; }

__device__ __forceinline__ Part part_of(const Correlation& c, int index) {
  const int line = index / c.w.parts;
  return {c.d.part[line / c.h.parts], c.h.part[line % c.h.parts], c.w.part[index % c.w.parts]};
}

__device__ __forceinline__ int taps_of(const Part& p) { return p.d.taps * p.h.taps * p.w.taps; }

// Of all parts before this one, of other launches too.
__device__ __forceinline__ int64_t taps_before(const Correlation& c, const Part& p) {
  const int64_t plane = int64_t(c.h.taps) * c.w.taps;
  return p.d.taps_before * plane +
         p.d.taps * (int64_t(p.h.taps_before) * c.w.taps + int64_t(p.h.taps) * p.w.taps_before);
}

__device__ __forceinline__ int positions_of(const Correlation& c, const Part& p) {
  return c.batch * p.d.out * p.h.out * p.w.out;
}

struct Position {
  int image, d, h, w;
};

__device__ __forceinline__ Position locate(const Part& p, int m) {
  uint32_t column = uint32_t(m), row = split(column, p.w.out_divisor), plane = split(row, p.h.out_divisor);
  const uint32_t image = split(plane, p.d.out_divisor);
  return {int(image), int(plane), int(row), int(column)};
}

}   // namespace fastconv::cuda::tiled
