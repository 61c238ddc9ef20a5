// Register tiles: MR rows of broadcast A times NV vectors of B, packed or of planes in place.
#include "gemm.hpp"

#include "lanes.hpp"
#include "tiles.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// A tile's sums. What holds for a whole vector of columns is asked once: tiles of few steps take little longer
// than their ends.
template <class T, int MR, int NV>
struct Sums {
  Vec<T> at[MR][NV];

  template <class F>
  FASTCONV_INLINE void each_row(int j, F f) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) f(at[i][j], i);
  }
  // Each becomes f(row, vector).
  template <class F>
  FASTCONV_INLINE void begin(F f) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) at[i][j] = f(i, j);
  }
  FASTCONV_INLINE void begin(const T* row_bias) {
    if (row_bias)
      begin([&](int i, int) FASTCONV_LAMBDA { return broadcast(row_bias[i]); });
    else
      begin([](int, int) FASTCONV_LAMBDA { return zero<T>(); });
  }
  // Adds the products of a(row) and the vector b(column); the fewer of the two stay in registers.
  template <class A, class B>
  FASTCONV_INLINE void add(A a, B b) {
    if constexpr (MR < NV) {
      Vec<T> av[MR];
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) av[i] = broadcast(a(i));
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) {
        const Vec<T> bv = held(b(j));
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i) at[i][j] += av[i] * bv;
      }
    } else {
      Vec<T> bv[NV];
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) bv[j] = b(j);
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        const Vec<T> av = broadcast(a(i));
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) at[i][j] += av * bv[j];
      }
    }
  }
  // To c(row, vector), of whose elements the first count(vector) are stored.
  template <class C, class Count>
  FASTCONV_INLINE void finish(C c, Count count, bool accumulate, bool relu, bool past) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      const int own = count(j);
      const bool whole = own == kLanes<T>;
      if (accumulate && whole)
        each_row(j, [&](Vec<T>& v, int i) FASTCONV_LAMBDA { v += load(c(i, j)); });
      else if (accumulate)
        each_row(j, [&](Vec<T>& v, int i) FASTCONV_LAMBDA { v += load_partial(c(i, j), own); });
      if (relu) each_row(j, [&](Vec<T>& v, int) FASTCONV_LAMBDA { v = positive<T>(v); });
      if (!whole)
        each_row(j, [&](Vec<T>& v, int i) FASTCONV_LAMBDA { store_partial(c(i, j), v, own); });
      else if (past)
        each_row(j, [&](Vec<T>& v, int i) FASTCONV_LAMBDA { stream(c(i, j), v); });
      else
        each_row(j, [&](Vec<T>& v, int i) FASTCONV_LAMBDA { store(c(i, j), v); });
    }
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
  const auto count = [=](int j) FASTCONV_LAMBDA { return j < NV - 1 ? lanes : tail; };
  if (args.column_bias && !args.accumulate)
    sums.begin([&](int, int j) FASTCONV_LAMBDA { return take(args.column_bias + j * lanes, count(j)); });
  else
    sums.begin(args.row_bias && !args.accumulate ? args.row_bias + m : nullptr);
  for (int64_t r = 0; r < args.run_count; ++r) {
    const Run<T>& run = args.runs[r];
    const T* b = args.b + run.first * (NV * lanes);
    const Rows<T, MR, kEven> a(args, run, m);
    ptrdiff_t at = 0;
    // Neighbouring rows share lines; far steps outrun the hardware's prefetching.
    const ptrdiff_t ahead = args.step > 1 ? 16 * args.step : 0;
    const auto steps = [&](int64_t count) __attribute__((always_inline)) {
      for (int64_t p = 0; p < count; ++p, at += args.step, b += NV * lanes) {
        if (ahead) __builtin_prefetch(a.at(MR - 1) + at + ahead);
        sums.add([&](int i) FASTCONV_LAMBDA { return a.at(i)[at]; },
                 [&](int j) FASTCONV_LAMBDA { return load(b + j * lanes); });
      }
    };
    if (a.kFetch && args.step == 1 && m + 2 * MR <= args.rows) {
      constexpr int line = 64 / int(sizeof(T));   // of the cache
      for (int64_t p = 0; p < run.length; p += line) {
#pragma GCC unroll 16
        for (int k = 0; k < MR; ++k) __builtin_prefetch(a.next(k) + p);
        steps(run.length - p < line ? run.length - p : line);
      }
    } else {
      steps(run.length);
    }
  }
  sums.finish([&](int i, int j) FASTCONV_LAMBDA { return c[i] + j * lanes; }, count, args.accumulate, args.relu,
              args.stream);
}

template <class T, int MR, int NV>
void planar_tile(const PlanarArgs<T>& args, int64_t m) {
  Sums<T, MR, NV> sums;
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
    sums.add([&](int i) FASTCONV_LAMBDA { return w[i][l]; },
             [&](int j) FASTCONV_LAMBDA { return load(x[j] + at); });
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
    case 3:
      return panel_of<T, 3>(args);
    case 4:
      return panel_of<T, 4>(args);
  }
}

template <class T>
void planar(const PlanarArgs<T>& args) {
  switch (args.vectors) {
    case 1:
      return row_tiles<PlanarTile, T, 1>(args);
    case 2:
      return row_tiles<PlanarTile, T, 2>(args);
    case 3:
      return row_tiles<PlanarTile, T, 3>(args);
    case 4:
      return row_tiles<PlanarTile, T, 4>(args);
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
