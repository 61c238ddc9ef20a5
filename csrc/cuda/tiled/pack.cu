// What stands around the tiled products: arrays into cells of channels, weights into rows, partial sums
// into results. Bound by memory.
#include "../launch.cuh"
#include "epilogue.cuh"
#include "kernels.hpp"

namespace fastconv::cuda::tiled {

constexpr int kCopyThreads = 256;

template <class T>
__device__ __forceinline__ T zero() {
  return narrow<T>(0);
}

// ---- Planes to cells, 64 pixels by 8 cells a block through shared memory, 16 bytes on both sides. ----

constexpr int kTilePixels = 64, kTileCells = 8;

template <class T>
struct TurningTile {
  static constexpr int word = sizeof(T) < 4 ? 4 / int(sizeof(T)) : 1;       // elements
  Vector<T, word> rows[kTileCells * kLanes16<T>][kTilePixels / word + 1];   // odd
};

// Channel `d` of the cells in the source, or -1.
__device__ __forceinline__ int source_channel(const CellCopy& c, int d, int lanes) {
  const int group = d / (c.cells * lanes), channel = d % (c.cells * lanes);
  return group < c.groups && channel < c.channels ? group * c.channels + channel : -1;
}

template <class T, bool wide>
__global__ void __launch_bounds__(kCopyThreads) planes_to_cells_kernel(const __grid_constant__ CellCopy c) {
  constexpr int lanes = kLanes16<T>, word = TurningTile<T>::word, chunks = kTilePixels / lanes;
  auto& tile = static_shared<TurningTile<T>>();
  const int64_t tiles = (c.pixels + kTilePixels - 1) / kTilePixels, image = blockIdx.x / tiles;
  const int64_t pixel0 = blockIdx.x % tiles * kTilePixels;
  const int channel0 = int(blockIdx.y) * kTileCells * lanes;
  for (int i = int(threadIdx.x); i < kTileCells * lanes * chunks; i += kCopyThreads) {
    const int d = i / chunks, p = i % chunks * lanes, channel = source_channel(c, channel0 + d, lanes);
    Vector<T, lanes> values;
    const T* from = static_cast<const T*>(c.from) +
                    ((image * c.groups * c.channels) + max(channel, 0)) * c.pixels + pixel0 + p;
    if (wide && channel >= 0 && pixel0 + p < c.pixels) {
      values = load_vector<lanes>(from);
    } else {
#pragma unroll
      for (int e = 0; e < lanes; ++e)
        values[e] = !wide && channel >= 0 && pixel0 + p + e < c.pixels ? from[e] : zero<T>();
    }
#pragma unroll
    for (int e = 0; e < lanes; e += word)
#pragma unroll
      for (int f = 0; f < word; ++f) tile.rows[d][(p + e) / word][f] = values[e + f];
  }
  __syncthreads();
  const int64_t cells = int64_t(c.groups) * c.cells;
  for (int i = int(threadIdx.x); i < kTilePixels * kTileCells; i += kCopyThreads) {
    const int cell = i % kTileCells, p = i / kTileCells;
    if (pixel0 + p >= c.pixels || int64_t(blockIdx.y) * kTileCells + cell >= cells) continue;
    Vector<T, lanes> values;
#pragma unroll
    for (int e = 0; e < lanes; ++e) values[e] = tile.rows[cell * lanes + e][p / word][p % word];
    store_vector<lanes>(
        static_cast<T*>(c.to) +
            ((image * c.pixels + pixel0 + p) * cells + int64_t(blockIdx.y) * kTileCells + cell) * lanes,
        values);
  }
}

// ---- Anything to cells, one thread a cell: few channels, or channels last that do not fill whole cells. ----

template <class T, int lanes>
__global__ void __launch_bounds__(kCopyThreads) gather_cells_kernel(const __grid_constant__ CellCopy c) {
  const int64_t cells = int64_t(c.groups) * c.cells, count = c.batch * c.pixels * cells;
  const int64_t step = c.planar ? c.pixels : 1;
  for (int64_t i = int64_t(blockIdx.x) * kCopyThreads + threadIdx.x; i < count;
       i += int64_t(gridDim.x) * kCopyThreads) {
    const int64_t pixel = i / cells;
    const int d = int(i % cells) * lanes, channels = c.groups * c.channels;
    const T* from = static_cast<const T*>(c.from) +
                    (c.planar ? pixel / c.pixels * channels * c.pixels + pixel % c.pixels : pixel * channels);
    Vector<T, lanes> values;
#pragma unroll
    for (int e = 0; e < lanes; ++e) {
      const int channel = source_channel(c, d + e, lanes);
      values[e] = channel >= 0 ? from[channel * step] : zero<T>();
    }
    store_vector<lanes>(static_cast<T*>(c.to) + i * lanes, values);
  }
}

template <class T>
void copy_to_cells(const Call& call, const CellCopy& c, int cell) {
  const int64_t cells = int64_t(c.groups) * c.cells;
  if (c.planar && cells > 1 && cell == 16) {
    const bool wide = c.pixels % kLanes16<T> == 0 && is_aligned(c.from, 16);
    const dim3 grid(unsigned(c.batch * ceil_div(c.pixels, kTilePixels)), unsigned(ceil_div(cells, kTileCells)));
    launch(call.operation, wide ? planes_to_cells_kernel<T, true> : planes_to_cells_kernel<T, false>, grid,
           kCopyThreads, 0, call.device.stream, c);
    return;
  }
  constexpr int few = sizeof(T) == 2 ? 4 : kLanes16<T>;   // wider types have cells of 16 bytes alone
  const auto kernel = cell == 16 ? gather_cells_kernel<T, kLanes16<T>> : gather_cells_kernel<T, few>;
  launch(call.operation, kernel, loop_grid(call.device, c.batch * c.pixels * cells, kCopyThreads), kCopyThreads,
         0, call.device.stream, c);
}

// ---- Weights ----

// The grid's y: parts; z: groups.
template <class T>
__global__ void __launch_bounds__(kCopyThreads)
    pack_weight_kernel(const __grid_constant__ Correlation c, const __grid_constant__ WeightCopy copy,
                       int lanes) {
  const Part part = part_of(c, int(blockIdx.y));
  const int width = c.cells * lanes, row = taps_of(part) * width;
  const int64_t before = int64_t(blockIdx.z) * c.d.taps * c.h.taps * c.w.taps + taps_before(c, part);
  const T* from = static_cast<const T*>(copy.from) + blockIdx.z * copy.group;
  T* to = static_cast<T*>(copy.to) + before * width * c.out_channels;
  const int64_t count = int64_t(row) * c.out_channels;
  for (int64_t i = int64_t(blockIdx.x) * kCopyThreads + threadIdx.x; i < count;
       i += int64_t(gridDim.x) * kCopyThreads) {
    const int n = int(i / row), k = int(i % row), channel = k % width;
    const int line = k / width / part.w.taps, s = k / width % part.w.taps;
    const int t = part.d.kernel_first + line / part.h.taps * c.d.kernel_step;
    const int r = part.h.kernel_first + line % part.h.taps * c.h.kernel_step;
    const int tap = (t * copy.kernel_h + r) * copy.kernel_w + part.w.kernel_first + s * c.w.kernel_step;
    to[i] = channel < c.channels ? from[n * copy.out + channel * copy.in + tap] : zero<T>();
  }
}

template <class T>
void pack_weight(const Call& call, const Correlation& c, const WeightCopy& copy, int cell) {
  const int lanes = cell / int(sizeof(T)), parts = c.d.parts * c.h.parts * c.w.parts;
  const int64_t taps = int64_t(c.d.taps) * c.h.taps * c.w.taps;
  const int64_t residues = int64_t(c.d.residues) * c.h.residues * c.w.residues;
  dim3 grid = loop_grid(call.device, taps * c.cells * lanes * c.out_channels / residues, kCopyThreads);
  grid.y = unsigned(parts);
  grid.z = unsigned(c.groups);
  launch(call.operation, pack_weight_kernel<T>, grid, kCopyThreads, 0, call.device.stream, c, copy, lanes);
}

template <class T>
__global__ void __launch_bounds__(kCopyThreads)
    finish_weight_gradient_kernel(const __grid_constant__ WeightGradient c, int lanes, T* dw) {
  const int width = c.cells * lanes, taps = c.taps;
  const int64_t count = int64_t(c.groups) * c.out_channels * taps * width;
  for (int64_t i = int64_t(blockIdx.x) * kCopyThreads + threadIdx.x; i < count;
       i += int64_t(gridDim.x) * kCopyThreads) {
    const int channel = int(i % width);
    if (channel >= c.channels) continue;
    Accumulator<T> sum = 0;
    for (int split = 0; split < c.splits; ++split)
      sum += static_cast<const Accumulator<T>*>(c.partial)[split * count + i];
    const int64_t tap = i / width % taps, k = i / width / taps;
    dw[(k * c.channels + channel) * taps + tap] = narrow<T>(sum);
  }
}

template <class T>
void finish_weight_gradient(const Call& call, const WeightGradient& c, int cell, void* dw) {
  const int lanes = cell / int(sizeof(T));
  const int64_t count = int64_t(c.groups) * c.out_channels * c.taps * c.cells * lanes;
  launch(call.operation, finish_weight_gradient_kernel<T>, loop_grid(call.device, count, kCopyThreads),
         kCopyThreads, 0, call.device.stream, c, lanes, static_cast<T*>(dw));
}

// ---- The gradient of the bias ----

constexpr int kBiasChunks = kCopyThreads / kBiasRows;   // columns of a block, 16 bytes each

template <class T>
struct BiasSums {
  Accumulator<T> values[kBiasRows][kBiasChunks * kLanes16<T> + 1];
};

// The grid's x: columns; y: slices of the positions.
template <class T>
__global__ void __launch_bounds__(kCopyThreads)
    bias_partial_kernel(const __grid_constant__ WeightGradient c, Accumulator<T>* partial) {
  constexpr int lanes = kLanes16<T>;
  auto& sums = static_shared<BiasSums<T>>();
  const int row = int(threadIdx.x) / kBiasChunks, column = int(threadIdx.x) % kBiasChunks;
  const int chunk = int(blockIdx.x) * kBiasChunks + column;
  const int slice = (c.positions + int(gridDim.y) - 1) / int(gridDim.y);
  const int64_t first = int64_t(blockIdx.y) * slice, end = min(int64_t(c.positions), first + slice);
  Accumulator<T> sum[lanes];
#pragma unroll
  for (int e = 0; e < lanes; ++e) sum[e] = 0;
  if (chunk < c.grad_pixel)
    for (int64_t i = first + row; i < end; i += kBiasRows) {
      const auto values =
          load_vector<lanes>(static_cast<const T*>(c.grad) + (i * c.grad_pixel + chunk) * lanes);
#pragma unroll
      for (int e = 0; e < lanes; ++e) sum[e] += widen(values[e]);
    }
#pragma unroll
  for (int e = 0; e < lanes; ++e) sums.values[row][column * lanes + e] = sum[e];
  __syncthreads();
  for (int i = int(threadIdx.x); i < kBiasChunks * lanes; i += kCopyThreads) {
    Accumulator<T> all = 0;
#pragma unroll
    for (int r = 0; r < kBiasRows; ++r) all += sums.values[r][i];
    const int64_t at = int64_t(blockIdx.x) * kBiasChunks * lanes + i;
    if (at < c.grad_pixel * lanes) partial[blockIdx.y * c.grad_pixel * lanes + at] = all;
  }
}

template <class T>
__global__ void __launch_bounds__(kCopyThreads)
    bias_finish_kernel(const __grid_constant__ WeightGradient c, int slices, const Accumulator<T>* partial,
                       T* db) {
  const int k = int(blockIdx.x) * kCopyThreads + int(threadIdx.x);
  if (k >= c.groups * c.out_channels) return;
  const int64_t row = c.grad_pixel * kLanes16<T>;
  const int64_t at = int64_t(k / c.out_channels) * c.grad_group * kLanes16<T> + k % c.out_channels;
  Accumulator<T> sum = 0;
  for (int i = 0; i < slices; ++i) sum += partial[i * row + at];
  db[k] = narrow<T>(sum);
}

template <class T>
void bias_gradient(const Call& call, const WeightGradient& c, int slices, void* partial, void* db) {
  using A = Accumulator<T>;
  const dim3 grid(unsigned(ceil_div(c.grad_pixel, kBiasChunks)), unsigned(slices));
  launch(call.operation, bias_partial_kernel<T>, grid, kCopyThreads, 0, call.device.stream, c,
         static_cast<A*>(partial));
  launch(call.operation, bias_finish_kernel<T>,
         dim3(unsigned(ceil_div(int64_t(c.groups) * c.out_channels, kCopyThreads))), kCopyThreads, 0,
         call.device.stream, c, slices, static_cast<const A*>(partial), static_cast<T*>(db));
}

#define FASTCONV_PACK(T)                                                                   \
  template void copy_to_cells<T>(const Call&, const CellCopy&, int);                       \
  template void pack_weight<T>(const Call&, const Correlation&, const WeightCopy&, int);   \
  template void finish_weight_gradient<T>(const Call&, const WeightGradient&, int, void*); \
  template void bias_gradient<T>(const Call&, const WeightGradient&, int, void*, void*);
FASTCONV_PACK(half)
FASTCONV_PACK(bfloat16)
FASTCONV_PACK(float)
FASTCONV_PACK(double)
#undef FASTCONV_PACK

}   // namespace fastconv::cuda::tiled
