// Register tiles: MR rows of broadcast A times NV vectors of B, packed or of planes in place.
#include "gemm.hpp"

#include "tiles.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

template <class T>
FASTCONV_INLINE Vec<T> positive(Vec<T> v) {
  return select<T>(v < zero<T>(), zero<T>(), v);   // keeps NaN
}

// A tile's sums. What holds for all of it is asked once: tiles of few steps take little longer than their ends.
template <class T, int MR, int NV>
struct Sums {
  Vec<T> at[MR][NV];

  // Each becomes f(itself, row, vector).
  template <class F>
  FASTCONV_INLINE void each(F f) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) at[i][j] = f(at[i][j], i, j);
  }
  FASTCONV_INLINE void begin(const T* row_bias) {
    if (row_bias)
      each([&](Vec<T>, int i, int) FASTCONV_LAMBDA { return broadcast(row_bias[i]); });
    else
      each([](Vec<T>, int, int) FASTCONV_LAMBDA { return zero<T>(); });
  }
  // To c(row, vector), of whose elements the first count(vector) are stored.
  template <class C, class Count>
  FASTCONV_INLINE void finish(C c, Count count, bool accumulate, bool relu, bool past) {
    bool whole = true;
    for (int j = 0; j < NV; ++j) whole &= count(j) == kLanes<T>;
    if (accumulate && whole)
      each([&](Vec<T> v, int i, int j) FASTCONV_LAMBDA { return v + load(c(i, j)); });
    else if (accumulate)
      each([&](Vec<T> v, int i, int j) FASTCONV_LAMBDA { return v + load_partial(c(i, j), count(j)); });
    if (relu) each([](Vec<T> v, int, int) FASTCONV_LAMBDA { return positive<T>(v); });
    const auto put = [&](auto to) FASTCONV_LAMBDA {
      each([&](Vec<T> v, int i, int j) FASTCONV_LAMBDA {
        to(c(i, j), v, j);
        return v;
      });
    };
    if (!whole)
      put([&](T* to, Vec<T> v, int j) FASTCONV_LAMBDA { store_partial(to, v, count(j)); });
    else if (past)
      put([](T* to, Vec<T> v, int) FASTCONV_LAMBDA { stream(to, v); });
    else
      put([](T* to, Vec<T> v, int) FASTCONV_LAMBDA { store(to, v); });
  }
};

// Where the rows of A begin in a run.
template <class T, int MR, bool kEven>
struct Rows {
  const T* start[MR];
  FASTCONV_INLINE Rows(const PanelArgs<T>&, const Run<T>& run, int64_t m) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) start[i] = run.rows[m + i] + run.offset;
  }
  FASTCONV_INLINE const T* at(int i) const { return start[i]; }
  static constexpr bool kFetch = false;
  FASTCONV_INLINE const T* next(int) const { return nullptr; }
};
// Three rows share a pointer: of a tile of 14 they all stay in registers.
template <class T, int MR>
struct Rows<T, MR, true> {
  const T* start[(MR + 2) / 3];
  ptrdiff_t stride;
  FASTCONV_INLINE Rows(const PanelArgs<T>& args, const Run<T>& run, int64_t m) : stride(args.a_stride) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; i += 3) start[i / 3] = args.even + (m + i) * args.a_stride + run.offset;
  }
  FASTCONV_INLINE const T* at(int i) const { return start[i / 3] + i % 3 * stride; }
  // Narrow panels pass over A so fast that the hardware's prefetching, which begins anew with each row, does
  // not keep up: the next tile's rows are fetched ahead.
  static constexpr bool kFetch = kBundle > 1;
  FASTCONV_INLINE const T* next(int i) const { return start[0] + (MR + i) * stride; }
};

template <class T, int MR, int NV, bool kEven>
void panel_tile(const PanelArgs<T>& args, int64_t m) {
  constexpr int lanes = kLanes<T>;
  const int tail = int(args.columns - (NV - 1) * lanes);
  T* c[MR];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
    c[i] = args.c + (args.c_offsets ? args.c_offsets[m + i] : (m + i) * args.c_stride);
    if (kBundle == 1 || args.stream) continue;   // narrow panels come back to C often
    __builtin_prefetch(c[i], 1);
    __builtin_prefetch(c[i] + NV * lanes - 1, 1);   // rows of planes begin within lines
  }
  Sums<T, MR, NV> sums;
  auto& acc = sums.at;
  const auto count = [=](int j) FASTCONV_LAMBDA { return j < NV - 1 ? lanes : tail; };
  if (args.column_bias && !args.accumulate)
    sums.each([&](Vec<T>, int, int j)
                  FASTCONV_LAMBDA { return load_partial(args.column_bias + j * lanes, count(j)); });
  else
    sums.begin(args.row_bias && !args.accumulate ? args.row_bias + m : nullptr);
  Vec<T> total[MR][NV];
  bool folded = false;
  // Parts of the block, wherever runs begin: a row that leaves taps out has the bits of one that reads zeros.
  int64_t part = 0;
  for (int64_t r = 0; r < args.run_count; ++r) {
    const Run<T>& run = args.runs[r];
    const T* b = args.b + run.first * (NV * lanes);
    const Rows<T, MR, kEven> a(args, run, m);
    ptrdiff_t at = 0;
    // Neighbouring rows share lines; far steps outrun the hardware's prefetching.
    const ptrdiff_t ahead = args.step > 1 ? 16 * args.step : 0;
    const auto steps = [&](int64_t count) __attribute__((always_inline)) {
      for (int64_t p = 0; p < count; ++p, at += args.step, b += NV * lanes) {
        Vec<T> bv[NV];
        if (ahead) __builtin_prefetch(a.at(MR - 1) + at + ahead);
        for (int j = 0; j < NV; ++j) bv[j] = load(b + j * lanes);
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i) {
          const Vec<T> av = broadcast(a.at(i)[at]);
          for (int j = 0; j < NV; ++j) acc[i][j] += av * bv[j];
        }
      }
    };
    for (int64_t p = 0; p < run.length;) {
      int64_t end = run.length;
      if constexpr (kDepth > kLongestPart) {
        const int64_t own = (run.first + p) / kLongestPart, until = (own + 1) * kLongestPart - run.first;
        end = until < end ? until : end;
        if (own != part) {
#pragma GCC unroll 16
          for (int k = 0; k < MR; ++k)
            for (int j = 0; j < NV; ++j) {
              total[k][j] = folded ? total[k][j] + acc[k][j] : acc[k][j];
              acc[k][j] = zero<T>();
            }
          folded = true;
          part = own;
        }
      }
      if (a.kFetch && args.step == 1 && m + 2 * MR <= args.rows) {
        constexpr int line = 64 / int(sizeof(T));   // of the cache
        for (; p < end; p += line) {
#pragma GCC unroll 16
          for (int k = 0; k < MR; ++k) __builtin_prefetch(a.next(k) + p);
          steps(end - p < line ? end - p : line);
        }
      } else {
        steps(end - p);
      }
      p = end;
    }
  }
  if (folded)
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
      for (int j = 0; j < NV; ++j) acc[i][j] += total[i][j];
  sums.finish([&](int i, int j) FASTCONV_LAMBDA { return c[i] + j * lanes; }, count, args.accumulate, args.relu,
              args.stream);
}

template <class T, int MR, int NV>
void planar_tile(const PlanarArgs<T>& args, int64_t m) {
  Sums<T, MR, NV> sums;
  auto& acc = sums.at;
  sums.begin(args.row_bias && !args.accumulate ? args.row_bias + m : nullptr);
  const T *w[MR], *x[NV];
  T* c[NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) w[i] = args.weights[m + i];
  for (int j = 0; j < NV; ++j) {
    x[j] = args.x + args.x_offsets[j];
    c[j] = args.c + m * args.c_stride + args.c_offsets[j];
  }
  for (int64_t l = 0; l < args.steps; ++l) {
    const ptrdiff_t at = args.offsets[l];
    Vec<T> bv[NV];
    for (int j = 0; j < NV; ++j) bv[j] = load(x[j] + at);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const Vec<T> av = broadcast(w[i][l]);
      for (int j = 0; j < NV; ++j) acc[i][j] += av * bv[j];
    }
  }
  const ptrdiff_t stride = args.c_stride;
  sums.finish([&](int i, int j) FASTCONV_LAMBDA { return c[j] + i * stride; },
              [&](int j) FASTCONV_LAMBDA { return args.lanes[j]; }, args.accumulate, args.relu, false);
}

template <class T, int MR, int NV>
struct PanelTile {
  static void run(const PanelArgs<T>& args, int64_t m) { panel_tile<T, MR, NV, false>(args, m); }
};
template <class T, int MR, int NV>
struct EvenTile {
  static void run(const PanelArgs<T>& args, int64_t m) { panel_tile<T, MR, NV, true>(args, m); }
};
template <class T, int MR, int NV>
struct PlanarTile {
  static void run(const PlanarArgs<T>& args, int64_t m) { planar_tile<T, MR, NV>(args, m); }
};
template <class T, int NV>
void panel_of(const PanelArgs<T>& args) {
  args.even ? row_tiles<EvenTile, T, NV>(args) : row_tiles<PanelTile, T, NV>(args);
  if (args.stream) end_stream();
}

template <class T>
void panel(const PanelArgs<T>& args) {
  switch ((args.columns + kLanes<T> - 1) / kLanes<T>) {
    case 1:
      return panel_of<T, 1>(args);
    case 2:
      return panel_of<T, 2>(args);
#if defined(__AVX512F__) || defined(__aarch64__)
    case 3:
      return panel_of<T, 3>(args);
    case 4:
      return panel_of<T, 4>(args);
#endif
  }
}

template <class T>
void planar(const PlanarArgs<T>& args) {
  switch (args.vectors) {
    case 1:
      return row_tiles<PlanarTile, T, 1>(args);
    case 2:
      return row_tiles<PlanarTile, T, 2>(args);
#if defined(__AVX512F__) || defined(__aarch64__)
    case 3:
      return row_tiles<PlanarTile, T, 3>(args);
    case 4:
      return row_tiles<PlanarTile, T, 4>(args);
#endif
  }
}

}   // namespace

template <class T>
GemmKernels<T> gemm_kernels() {
  return {kLanes<T>, kVectors, kDepth, kBundle, panel<T>, planar<T>, dot_kernel<T>()};
}
template GemmKernels<float> gemm_kernels();
template GemmKernels<double> gemm_kernels();

}   // namespace fastconv::cpu::FASTCONV_ISA
