// Matrix products in register tiles, the right operand packed block by block.
#pragma once

#include <cstring>
#include <memory>
#include <optional>

#include "../core/memory.hpp"
#include "activation.hpp"
#include "isa.hpp"
#include "tiling.hpp"

namespace fastconv::cpu {

// Flops of a task where tasks are to be even: 2 to 5 us, as against 0.1 us for handing one out.
constexpr double kTaskFlops = 4e5;

// Bytes of a row of B that a task packs together: each visit of a page serves as many panels.
constexpr int64_t kStripBytes = 1024;
template <class T>
int64_t panels_of_strip(const GemmKernels<T>& gemm) {
  return kStripBytes / (gemm.vectors * gemm.lanes * int64_t(sizeof(T)));
}

// A task's packed panels lie in its thread's own memory: what another core used before comes slowly, and stacks
// may be small.
template <class T>
int64_t packed_size(const GemmKernels<T>& gemm) {
  return gemm.vectors * gemm.lanes * (gemm.depth + gemm.depth / 4 + 16);
}
template <class T>
T* packed_panels() {
  struct alignas(64) Panels {
    char bytes[kStripBytes * kDeepest];
  };
  thread_local const std::unique_ptr<Panels> panels(new Panels);   // not cleared
  return reinterpret_cast<T*>(panels->bytes);
}

// The largest power of two that is not above `most`, at least 1: what it counts shares out evenly.
inline int64_t power_of_two(double most) {
  int64_t result = 1;
  while (2 * double(result) <= most) result *= 2;
  return result;
}

// Calls body(i) for tasks that are worth a chunk each, or all of them here where they are not worth another
// thread.
template <class Body>
void parallel_tasks(int64_t tasks, double flops, Body&& body) {
  if (flops >= kChunkFlops) return parallel_for(tasks, body);
  for (int64_t i = 0; i < tasks; ++i) body(i);
}

// Packs b (depth, columns), row-major: steps [k0, k1), `width` columns from j0 on.
template <class T>
struct Copied {
  static constexpr int64_t kSteps = 16;   // of a panel before the next: its rows' pages serve all panels
  const T* b;
  int64_t columns;

  void operator()(int64_t k0, int64_t k1, int64_t j0, int64_t width, T* to) const {
    const int64_t padded = round_up(width, kernels<T>().gemm.lanes);
    kernels<T>().pack.copy(b + k0 * columns + j0, columns, to, padded, k1 - k0, width, padded);
  }
};

// The same from the transpose of b (columns, depth), row-major.
template <class T>
struct Transposed {
  static constexpr int64_t kSteps = kDeepest;   // a page serves many steps
  const T* b;
  int64_t depth;

  void operator()(int64_t k0, int64_t k1, int64_t j0, int64_t width, T* to) const {
    const int64_t lanes = kernels<T>().gemm.lanes, padded = round_up(width, lanes), steps = k1 - k0;
    const auto part = [&](int64_t j, int64_t rows) {
      kernels<T>().pack.transpose(b + (j0 + j) * depth + k0, depth, to + j, padded, rows, steps);
    };
    if (width == padded) return part(0, width);
    std::memset(to, 0, size_t(padded * steps) * sizeof(T));
    if (width < lanes) return part(0, width);
    part(0, width / lanes * lanes);
    part(width - lanes, lanes);   // overlaps: a whole square is faster than its rows one by one
  }
};

// The left operand is packed, as a whole, where as many columns pay for it and it is not large, or where its
// steps are a page apart.
constexpr int64_t kPackedColumns = 512, kPackedBytes = int64_t{16} << 20, kPage = 4096;

// How a product is cut: groups of rows times strips of panels of columns.
struct ProductTasks {
  int64_t vectors, panels, strips, groups, depth, depths;

  template <class T>
  static ProductTasks of(const GemmKernels<T>& gemm, int64_t rows, int64_t columns, int64_t depth) {
    // Rows of a group: each packs B again; each passes over its rows of A and C for every block of the depth.
    constexpr int64_t kFewestRows = 48, kMostRows = 2048;
    const double flops = 2.0 * double(rows) * double(columns) * double(depth);
    const int64_t wanted = power_of_two(std::min(double(kChunks), flops / kTaskFlops));
    ProductTasks tasks;
    tasks.vectors = div_up(columns, gemm.lanes);
    const int64_t widest = div_up(tasks.vectors, gemm.vectors);
    tasks.groups = std::clamp<int64_t>(wanted / widest, 1, std::max<int64_t>(1, rows / kFewestRows));
    tasks.groups = std::max(tasks.groups, div_up(rows, kMostRows));
    tasks.panels = std::max(widest, std::min(wanted / tasks.groups, div_up(tasks.vectors, 2)));
    tasks.strips = std::min(tasks.panels, std::max(kChunks, div_up(tasks.panels, panels_of_strip(gemm))));
    tasks.depth = depth;
    tasks.depths = depth_blocks(depth, gemm.depth);
    return tasks;
  }
  // Of block i, whole vectors, so that transposing leaves no rest.
  int64_t depth_begin(int64_t i) const {
    return std::min(depth, part_begin(div_up(depth, 16), depths, i) * 16);
  }
};

// The left operand: row m at data + m * row, its steps `step` apart; one of the two is 1.
template <class T>
struct LeftOperand {
  const T* data;
  ptrdiff_t row, step;
};

// Its blocks of the reduction one after the other, the rows of each side by side.
template <class T>
struct PackedRows {
  static constexpr int64_t kOff = 16;   // a line: rows a power of two apart would share few sets of the cache
  const ProductTasks& cut;
  int64_t rows;
  memory::Buffer buffer;

  PackedRows(const ProductTasks& tasks, int64_t count, const LeftOperand<T>& a)
      : cut(tasks), rows(count), buffer(size_t(count * (tasks.depth + kOff * tasks.depths)) * sizeof(T)) {
    constexpr int64_t kSlice = 64;
    const int64_t slices = div_up(rows, kSlice);
    parallel_items(slices * cut.depths, kMoveFlops * double(kSlice * (cut.depth / cut.depths)),
                   [&](int64_t item) {
                     const int64_t m = item % slices * kSlice, i = item / slices, k = cut.depth_begin(i);
                     const int64_t some = std::min(kSlice, rows - m), steps = stride(i) - kOff;
                     const T* from = a.data + m * a.row + k * a.step;
                     const auto& pack = kernels<T>().pack;
                     if (a.step == 1)
                       pack.copy(from, a.row, at(i, m), stride(i), some, steps, steps);
                     else
                       pack.transpose(from, a.step, at(i, m), stride(i), steps, some);
                   });
  }
  ptrdiff_t stride(int64_t i) const { return cut.depth_begin(i + 1) - cut.depth_begin(i) + kOff; }
  T* at(int64_t i, int64_t m) const {
    return buffer.as<T>() + rows * (cut.depth_begin(i) + kOff * i) + m * stride(i);
  }
};

template <class T>
struct Epilogue {
  const T* bias;   // (columns,) or null
  Activation activation;
};

// c (rows, columns) = a b; fill packs b.
template <class T, class Fill>
void product(int64_t rows, int64_t columns, int64_t depth, const LeftOperand<T>& a, const Fill& fill, T* c,
             const Epilogue<T>& epilogue = {}) {
  constexpr int64_t kRowBlock = 192;   // with a strip's panels they stay in L2
  const auto& gemm = kernels<T>().gemm;
  const ProductTasks cut = ProductTasks::of(gemm, rows, columns, depth);
  const bool packs = (columns >= kPackedColumns && rows * depth * int64_t(sizeof(T)) <= kPackedBytes) ||
                     a.step * int64_t(sizeof(T)) >= kPage;
  std::optional<PackedRows<T>> side_by_side;
  if (packs) side_by_side.emplace(cut, rows, a);
  const bool relu = epilogue.activation == Activation::relu;
  const ActivationKernel<T> finish = relu ? nullptr : activation_kernel<T>(epilogue.activation);
  const auto column = [&](int64_t panel) {
    return std::min(columns, part_begin(cut.vectors, cut.panels, panel) * gemm.lanes);
  };
  const double flops = 2.0 * double(rows) * double(columns) * double(depth);
  parallel_tasks(cut.strips * cut.groups, flops, [&](int64_t task) {
    const int64_t group = task % cut.groups, strip = task / cut.groups;
    const int64_t m0 = part_begin(rows, cut.groups, group), m1 = part_begin(rows, cut.groups, group + 1);
    const int64_t p0 = part_begin(cut.panels, cut.strips, strip),
                  p1 = part_begin(cut.panels, cut.strips, strip + 1);
    T* const packed = packed_panels<T>();
    const int64_t size = packed_size(gemm);
    for (int64_t i = 0; i < cut.depths; ++i) {
      const int64_t k0 = cut.depth_begin(i), k1 = cut.depth_begin(i + 1);
      for (int64_t k = k0, few = p1 - p0 > 1 ? fill.kSteps : k1 - k0; k < k1; k += few)
        for (int64_t p = p0; p < p1; ++p) {
          const int64_t j = column(p), width = column(p + 1) - j;
          fill(k, std::min(k1, k + few), j, width,
               packed + (p - p0) * size + (k - k0) * round_up(width, gemm.lanes));
        }
      for (int64_t m = m0; m < m1; m += kRowBlock) {
        const Run<T> run = {nullptr, 0, 0, k1 - k0};
        PanelArgs<T> args{};
        args.rows = std::min(m1 - m, kRowBlock);
        args.runs = &run;
        args.run_count = 1;
        args.step = packs ? 1 : a.step;
        args.even = packs ? side_by_side->at(i, m) : a.data + m * a.row + k0 * a.step;
        args.a_stride = packs ? side_by_side->stride(i) : a.row;
        args.c_stride = columns;
        args.accumulate = i > 0;
        args.relu = relu && i == cut.depths - 1;
        for (int64_t p = p0; p < p1; ++p) {
          const int64_t j = column(p);
          args.columns = column(p + 1) - j;
          args.b = packed + (p - p0) * size;
          args.c = c + m * columns + j;
          args.column_bias = epilogue.bias ? epilogue.bias + j : nullptr;
          gemm.panel(args);
        }
      }
    }
    const int64_t j0 = column(p0), j1 = column(p1);
    for (int64_t m = m0; m < m1 && finish; ++m) finish(c + m * columns + j0, c + m * columns + j0, j1 - j0);
  });
}

}   // namespace fastconv::cpu
