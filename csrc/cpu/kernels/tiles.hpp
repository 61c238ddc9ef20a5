// What the register tiles share: how large they are, and how rows are cut into them.
#pragma once

#include "gemm.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// The more FMAs a load the better: with 32 registers tiles are 6x4 (2.4), 9x3 and 14x2, with 16 registers 3x4,
// 4x3 (1.7), 6x2 and 12x1.
constexpr int kVectors = 4;
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int max_rows(int vectors) { return vectors == 4 ? 6 : vectors == 3 ? 9 : 14; }
#else
constexpr int max_rows(int vectors) { return 12 / vectors; }
#endif
constexpr int kBundle = 256 / (kVectors * kVectorBytes);
constexpr int kDepth = 128;
static_assert(kDepth + kDepth / 4 + 16 <= kDeepest);

// Calls tile<rows, NV> with the compile-time number of rows, 1 <= rows <= MR.
template <template <class, int, int> class Tile, class T, int MR, int NV, class Args, class... At>
FASTCONV_INLINE void call(int rows, const Args& args, At... at) {
  if constexpr (MR > 1) {
    if (rows < MR) return call<Tile, T, MR - 1, NV>(rows, args, at...);
  }
  Tile<T, MR, NV>::run(args, at...);
}
// Splits the rows evenly into tiles: a lone last row would be bound by latency.
template <template <class, int, int> class Tile, class T, int NV, int most = max_rows(NV), class Args,
          class... At>
void row_tiles(const Args& args, At... at) {
  const int64_t tiles = (args.rows + most - 1) / most;
  for (int64_t t = 0, m = 0; t < tiles; ++t) {
    const int rows = int((args.rows - m + tiles - t - 1) / (tiles - t));
    call<Tile, T, most, NV>(rows, args, m, at...);
    m += rows;
  }
}

}   // namespace
}   // namespace fastconv::cpu::FASTCONV_ISA
