// The windows of average pooling, and kernels that share a large one among threads: parts of its cells in turn,
// whose sums are added in one order. Sums of many terms go over sums of kMeanTerms, lest a long one lose its
// end.
#pragma once

#include "divisor.cuh"
#include "launch.cuh"
#include "types.cuh"

namespace fastconv::cuda {

constexpr int kAverageThreads = 256;

// Three dimensions, outermost first; the missing outer ones have extent 1.
struct MeanWindows {
  int64_t input[3], output[3], kernel[3], stride[3], padding[3];
  bool adaptive, count_include_pad;
  double divisor;   // 0: the cells that count
};

// How results lie: one after the other, `cell` of them at each place of a map.
struct MeanResults {
  int64_t count;
  Divisor64 cell, width, height, depth;
};

struct MeanSpan {
  int64_t begin, end;

  __device__ __forceinline__ int64_t count() const { return end > begin ? end - begin : 0; }
};

// The cells of window o, and in `counted` how many its divisor counts.
__device__ __forceinline__ MeanSpan cells_of(const MeanWindows& w, int i, int64_t o, int64_t& counted) {
  const int64_t input = w.input[i];
  MeanSpan at;
  if (w.adaptive) {
    at = {o * input / w.output[i], ((o + 1) * input + w.output[i] - 1) / w.output[i]};
  } else {
    at.begin = o * w.stride[i] - w.padding[i];
    at.end = min(at.begin + w.kernel[i], input + w.padding[i]);
  }
  counted = at.end - at.begin;
  at.begin = max(at.begin, int64_t(0));
  at.end = min(at.end, input);
  if (!w.count_include_pad) counted = at.end - at.begin;
  return at;
}

// The windows that hold cell h.
__device__ __forceinline__ MeanSpan windows_of(const MeanWindows& w, int i, int64_t h) {
  if (w.adaptive) return {h * w.output[i] / w.input[i], ((h + 1) * w.output[i] + w.input[i] - 1) / w.input[i]};
  const int64_t reach = h + w.padding[i] - w.kernel[i] + 1;
  return {reach > 0 ? (reach + w.stride[i] - 1) / w.stride[i] : 0,
          min((h + w.padding[i]) / w.stride[i] + 1, w.output[i])};
}

// From the number of a result: its map, its place there, and the channel within the place.
struct MeanPlace {
  int64_t map, at[3], channel;
};
__device__ __forceinline__ MeanPlace place_of(const MeanResults& results, int64_t i) {
  MeanPlace place;
  int64_t rest = split(i, results.cell);
  place.channel = i;
  int64_t row = split(rest, results.width);
  place.at[2] = rest;
  int64_t slice = split(row, results.height);
  place.at[1] = row;
  place.map = split(slice, results.depth);
  place.at[0] = slice;
  return place;
}

// Of a window: its cells in each dimension, and how many its divisor counts.
struct MeanBox {
  MeanSpan d, h, v;
  int64_t counted[3];
};
__device__ __forceinline__ MeanBox box_of(const MeanWindows& w, const int64_t (&at)[3]) {
  MeanBox box;
  box.d = cells_of(w, 0, at[0], box.counted[0]);
  box.h = cells_of(w, 1, at[1], box.counted[1]);
  box.v = cells_of(w, 2, at[2], box.counted[2]);
  return box;
}
template <class A>
__device__ __forceinline__ A divisor_of(const MeanWindows& w, const int64_t (&counted)[3]) {
  return w.divisor != 0 ? A(w.divisor) : A(counted[0]) * A(counted[1]) * A(counted[2]);
}

constexpr int kMeanLanes = 32, kMeanGroups = kAverageThreads / kMeanLanes, kMeanTerms = 16;

// A window's cells in the order of memory, as rows that do not follow each other; those that do are one row.
struct MeanRows {
  int64_t begin, row_step, slice_step;   // in cells of x
  int64_t width, rows, slices;

  __device__ __forceinline__ MeanRows(const MeanWindows& w, const MeanBox& box, int64_t map)
      : row_step(w.input[2]),
        slice_step(w.input[1] * w.input[2]),
        width(box.v.count()),
        rows(box.h.count()),
        slices(box.d.count()) {
    begin = map * w.input[0] * slice_step + box.d.begin * slice_step + box.h.begin * row_step + box.v.begin;
    if (width != row_step) return;
    width *= rows;
    rows = 1;
    if (width != slice_step) return;
    width *= slices;
    slices = 1;
  }
  __device__ __forceinline__ int64_t cells() const { return width * rows * slices; }
};

// Of cells first, first + step, ... before `last`; x: the channel of cell 0.
template <class T>
__device__ __forceinline__ Accumulator<T> sum_cells(const MeanRows& at, const T* x, int64_t cell, int64_t first,
                                                    int64_t last, int step) {
  using A = Accumulator<T>;
  A total = 0;
  x += at.begin * cell;
  if (at.rows * at.slices == 1) {
    for (int64_t i = first; i < last;) {
      const int64_t until = min(last, i + int64_t(kMeanTerms) * step);
      A sum = 0;
      for (; i < until; i += step) sum += widen(x[i * cell]);
      total += sum;
    }
    return total;
  }
  if (first >= last) return total;
  int64_t row = first / at.width, slice = row / at.rows;
  int64_t column = first - row * at.width;
  row -= slice * at.rows;
  const int64_t over = step / at.width, columns = step - over * at.width;
  const int64_t slices = over / at.rows, rows = over - slices * at.rows;
  for (int64_t i = first; i < last;) {
    const int64_t until = min(last, i + int64_t(kMeanTerms) * step);
    A sum = 0;
    for (; i < until; i += step) {
      sum += widen(x[(slice * at.slice_step + row * at.row_step + column) * cell]);
      column += columns;
      row += rows;
      slice += slices;
      if (column >= at.width) column -= at.width, ++row;
      if (row >= at.rows) row -= at.rows, ++slice;
    }
    total += sum;
  }
  return total;
}

template <class A, int groups, int lanes>
struct MeanSums {
  A values[groups][lanes];
};

// A block adds up a chunk (blockIdx.y) of the windows of neighbouring results: `lanes` threads of a warp share
// one of a plane; channels last each lane has its own, which the warps share. Sums go to partial
// [chunk][result], of one chunk to y.
template <class T, int lanes, bool last>
__global__ void __launch_bounds__(kAverageThreads, 4)
    average_pool_parts_kernel(const __grid_constant__ MeanWindows w,
                              const __grid_constant__ MeanResults results, const T* x, T* y,
                              Accumulator<T>* partial) {
  using A = Accumulator<T>;
  constexpr int groups = kAverageThreads / lanes;
  const int lane = int(threadIdx.x) % lanes, group = int(threadIdx.x) / lanes;
  const int64_t i = int64_t(blockIdx.x) * (last ? lanes : groups) + (last ? lane : group);
  const bool active = i < results.count;
  const MeanPlace place = place_of(results, active ? i : 0);
  const MeanBox box = box_of(w, place.at);
  const MeanRows rows(w, box, place.map);
  const int64_t cells = active ? rows.cells() : 0, chunks = gridDim.y, chunk = blockIdx.y;
  const int part = last ? group : lane, parts = last ? groups : lanes;
  A sum = sum_cells(rows, x + place.channel, int64_t(results.cell.value), cells * chunk / chunks + part,
                    cells * (chunk + 1) / chunks, parts);
  if constexpr (last) {
    auto& shared = static_shared<MeanSums<A, groups, lanes>>();
    shared.values[group][lane] = sum;
    __syncthreads();
    if (group > 0) return;
    for (int j = 1; j < groups; ++j) sum += shared.values[j][lane];
  } else {
#pragma unroll
    for (int by = lanes / 2; by > 0; by /= 2) sum += __shfl_xor_sync(kFullMask, sum, by);
    if (lane > 0) return;
  }
  if (!active) return;
  if (chunks > 1)
    partial[chunk * results.count + i] = sum;
  else
    y[i] = narrow<T>(sum / divisor_of<A>(w, box.counted));
}

// Adds the chunks up, a warp a result.
template <class T>
__global__ void __launch_bounds__(kAverageThreads, 4)
    average_pool_finish_kernel(const __grid_constant__ MeanWindows w,
                               const __grid_constant__ MeanResults results, const Accumulator<T>* partial,
                               int chunks, T* y) {
  using A = Accumulator<T>;
  const int lane = int(threadIdx.x) % kMeanLanes;
  const int64_t i = int64_t(blockIdx.x) * kMeanGroups + int(threadIdx.x) / kMeanLanes;
  if (i >= results.count) return;
  A sum = 0;
  for (int chunk = lane; chunk < chunks; chunk += kMeanLanes) sum += partial[chunk * results.count + i];
#pragma unroll
  for (int by = kMeanLanes / 2; by > 0; by /= 2) sum += __shfl_xor_sync(kFullMask, sum, by);
  if (lane == 0) y[i] = narrow<T>(sum / divisor_of<A>(w, box_of(w, place_of(results, i).at).counted));
}

}   // namespace fastconv::cuda
