// Register tiles of dot products: the reduction runs along the vectors.
#include "gemm.hpp"
#include "lanes.hpp"
#include "tiles.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

constexpr int kColumns = max_rows(4) < 6 ? 3 : 4;   // of the widest tile
constexpr ptrdiff_t kLongestPart = 160;             // steps that are summed up before they are added to others

template <class T, int MR, int NV>
void dot_tile(const DotArgs<T>& args, int64_t m, int64_t n) {
  constexpr int lanes = kLanes<T>;
  Vec<T> acc[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
    for (int j = 0; j < NV; ++j) acc[i][j] = zero<T>();
  Vec<T> total[MR][NV] = {};
  bool folded = false;
  const T *a[MR], *b[NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) a[i] = args.a[m + i];
  for (int j = 0; j < NV; ++j) b[j] = args.b[n + j];
  ptrdiff_t room = kLongestPart;   // steps until the sums are put aside, wherever runs end
  for (int64_t r = 0; r < args.run_count; ++r) {
    const DotRun& run = args.runs[r];
    ptrdiff_t p = run.a_offset, q = run.b_offset;
    const ptrdiff_t end = p + run.length;
    while (p + lanes <= end) {
      const ptrdiff_t left = (end - p) / lanes, now = left < room ? left : room, until = p + now * lanes;
      for (; p < until; p += lanes, q += lanes) {
        Vec<T> bv[NV];
        for (int j = 0; j < NV; ++j) bv[j] = load(b[j] + q);
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i) {
          const Vec<T> av = load(a[i] + p);
          for (int j = 0; j < NV; ++j) acc[i][j] += av * bv[j];
        }
      }
      room -= now;
      if (room > 0) break;
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i)
        for (int j = 0; j < NV; ++j) {
          total[i][j] += acc[i][j];
          acc[i][j] = zero<T>();
        }
      folded = true;
      room = kLongestPart;
    }
    if (const int tail = int(end - p)) {
      Vec<T> bv[NV];
      for (int j = 0; j < NV; ++j) bv[j] = load_partial(b[j] + q, tail);
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        const Vec<T> av = load_partial(a[i] + p, tail);
        for (int j = 0; j < NV; ++j) acc[i][j] += av * bv[j];
      }
    }
  }
  if (folded)
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
      for (int j = 0; j < NV; ++j) acc[i][j] += total[i][j];
  // Fold `lanes` sums at a time.
  T sums[(MR * NV + lanes - 1) / lanes * lanes];
#pragma GCC unroll 8
  for (int k = 0; k < MR * NV; k += lanes) {
    Vec<T> part[lanes];
#pragma GCC unroll 16
    for (int i = 0; i < lanes; ++i) part[i] = k + i < MR * NV ? acc[(k + i) / NV][(k + i) % NV] : zero<T>();
    store(sums + k, sums_of<T>(part));
  }
  for (int k = 0; k < MR * NV; ++k) {
    T& c = args.c[(m + k / NV) * args.c_stride + n + k % NV];
    c = args.accumulate ? c + sums[k] : sums[k];
  }
}

template <class T, int MR, int NV>
struct DotTile {
  static void run(const DotArgs<T>& args, int64_t m, int64_t n) { dot_tile<T, MR, NV>(args, m, n); }
};

template <class T, int NV>
void dot_tiles(const DotArgs<T>& args, int64_t n) {
  row_tiles<DotTile, T, NV, max_rows(NV) < 6 ? max_rows(NV) : 6>(args, n);
}

template <class T>
void dot(const DotArgs<T>& args) {
  int64_t n = 0;
  for (; n + kColumns <= args.columns; n += kColumns) dot_tiles<T, kColumns>(args, n);
  switch (args.columns - n) {
    case 1:
      return dot_tiles<T, 1>(args, n);
    case 2:
      return dot_tiles<T, 2>(args, n);
    case 3:
      return dot_tiles<T, 3>(args, n);
  }
}

}   // namespace

template <class T>
DotKernel<T> dot_kernel() {
  return dot<T>;
}
template DotKernel<float> dot_kernel();
template DotKernel<double> dot_kernel();

}   // namespace fastconv::cpu::FASTCONV_ISA
