#include "few_rows.hpp"

#include "lanes.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// Steps that are summed from zero before they are added to C, as in the register tiles.
constexpr int64_t kBlock = 128;

template <class T>
FASTCONV_INLINE ptrdiff_t sums_width(const FewRowsArgs<T>& args) {
  return (args.columns + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

// sums[m][j] (+)= sum over p < kSteps: a[m][p] * b[p][j], kVectors of columns from j on; `count` in the last.
// The rows of B that lie `ahead` are fetched meanwhile.
template <class T, int kSteps, int kVectors>
FASTCONV_INLINE void stretch(const FewRowsArgs<T>& args, const T* a, const T* b, T* sums, bool first,
                             ptrdiff_t ahead, int count) {
  constexpr int lanes = kLanes<T>;
  Vec<T> bv[kSteps][kVectors];
#pragma GCC unroll 4
  for (int p = 0; p < kSteps; ++p) {
    const T* from = b + p * args.b_stride;
    __builtin_prefetch(from + ahead, 0, 2);   // into L2
#pragma GCC unroll 2
    for (int i = 0; i < kVectors; ++i) bv[p][i] = take(from + i * lanes, count);
  }
  const ptrdiff_t width = sums_width(args);
  for (int64_t m = 0; m < args.rows; ++m, sums += width) {
    Vec<T> acc[kVectors];
#pragma GCC unroll 2
    for (int i = 0; i < kVectors; ++i) acc[i] = first ? zero<T>() : load(sums + i * lanes);
#pragma GCC unroll 4
    for (int p = 0; p < kSteps; ++p) {
      const Vec<T> factor = broadcast(a[m * args.a_stride + p]);
#pragma GCC unroll 2
      for (int i = 0; i < kVectors; ++i) acc[i] += factor * bv[p][i];
    }
#pragma GCC unroll 2
    for (int i = 0; i < kVectors; ++i) store(sums + i * lanes, acc[i]);
  }
}

// Whole lines of B at once: rows that lie a power of two apart share a set of L1 and would evict each other
// before a line's second half is read. A sweep is too short for the hardware to notice the pattern.
template <class T, int kSteps>
FASTCONV_INLINE void sweep(const FewRowsArgs<T>& args, const T* a, const T* b, T* sums, bool first,
                           int64_t steps_left) {
  constexpr int lanes = kLanes<T>;
  const ptrdiff_t ahead = steps_left >= 2 * kSteps ? kSteps * args.b_stride : 0;
  int64_t j = 0;
  for (; j + 2 * lanes <= args.columns; j += 2 * lanes)
    stretch<T, kSteps, 2>(args, a, b + j, sums + j, first, ahead, lanes);
  for (; j < args.columns; j += lanes)
    stretch<T, kSteps, 1>(args, a, b + j, sums + j, first, ahead,
                          args.columns - j < lanes ? int(args.columns - j) : lanes);
}

template <class T>
void add_to_result(const FewRowsArgs<T>& args, const T* sums, bool first) {
  constexpr int lanes = kLanes<T>;
  const ptrdiff_t width = sums_width(args);
  for (int64_t m = 0; m < args.rows; ++m)
    for (int64_t j = 0; j < args.columns; j += lanes) {
      const int count = args.columns - j < lanes ? int(args.columns - j) : lanes;
      T* c = args.c + m * args.c_stride + j;
      const Vec<T> sum = load(sums + m * width + j);
      store_partial(c, first ? sum : load_partial(c, count) + sum, count);
    }
}

template <class T>
void gather(const FewRowsArgs<T>& args, T* sums) {
  for (int64_t begin = 0; begin < args.depth; begin += kBlock) {
    const int64_t end = begin + kBlock < args.depth ? begin + kBlock : args.depth;
    const auto at = [&](int64_t p) { return args.b + p * args.b_stride; };
    int64_t p = begin;
    for (; p + 4 <= end; p += 4) sweep<T, 4>(args, args.a + p, at(p), sums, p == begin, args.depth - p);
    for (; p < end; ++p) sweep<T, 1>(args, args.a + p, at(p), sums, p == begin, 0);
    add_to_result(args, sums, begin == 0);
  }
}

// kRows rows of C from row m on.
template <class T, int kRows, bool kStream>
FASTCONV_INLINE void outer_rows(const FewRowsArgs<T>& args, int64_t m) {
  constexpr int lanes = kLanes<T>;
  for (int64_t j = 0; j < args.columns; j += 2 * lanes) {
    const int64_t left = args.columns - j;
    const int count[2] = {left < lanes ? int(left) : lanes, left < lanes       ? 0
                                                            : left < 2 * lanes ? int(left - lanes)
                                                                               : lanes};
    const bool whole = count[1] == lanes;
    Vec<T> acc[kRows][2] = {};
    for (int64_t p = 0; p < args.depth; ++p) {
      const T* b = args.b + p * args.b_stride + j;
      const Vec<T> b0 = whole ? load(b) : load_partial(b, count[0]);
      const Vec<T> b1 = whole ? load(b + lanes) : load_partial(b + lanes, count[1]);
#pragma GCC unroll 4
      for (int i = 0; i < kRows; ++i) {
        const Vec<T> a = broadcast(args.a[p * args.a_stride + m + i]);
        acc[i][0] += a * b0;
        acc[i][1] += a * b1;
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) {
        T* c = args.c + (m + i) * args.c_stride + j + v * lanes;
        if (count[v] < lanes)
          store_partial(c, acc[i][v], count[v]);
        else if (kStream)
          stream(c, acc[i][v]);
        else
          store(c, acc[i][v]);
      }
  }
}

template <class T, bool kStream>
void outer_product(const FewRowsArgs<T>& args) {
  int64_t m = 0;
  for (; m + 4 <= args.rows; m += 4) outer_rows<T, 4, kStream>(args, m);
  for (; m < args.rows; ++m) outer_rows<T, 1, kStream>(args, m);
}

template <class T>
void outer(const FewRowsArgs<T>& args, bool past_caches) {
  if (!past_caches || uintptr_t(args.c) % kVectorBytes || args.c_stride % kLanes<T>)
    return outer_product<T, false>(args);
  outer_product<T, true>(args);
  end_stream();
}

}   // namespace

template <class T>
FewRowsKernels<T> few_rows_kernels() {
  return {gather<T>, outer<T>};
}
template FewRowsKernels<float> few_rows_kernels();
template FewRowsKernels<double> few_rows_kernels();

}   // namespace fastconv::cpu::FASTCONV_ISA
