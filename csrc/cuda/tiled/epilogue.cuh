// From a warp's sums to the result: bias, activation, one rounding, and stores of 16 bytes where the result
// allows.
#pragma once

#include "../activation.cuh"
#include "parts.cuh"
#include "tile.cuh"

namespace fastconv::cuda::tiled {

// The long functions stand apart, in a loop that is not unrolled, so that they come once a slice.
template <class Function, class A>
__device__ __forceinline__ void apply(A* slice, int count) {
#pragma unroll 1
  for (int i = int(threadIdx.x & 31); i < count; i += 32) slice[i] = Function::forward(slice[i]);
}

// What all lanes have staged, ready to be read by all; relu comes with the stores.
template <class A>
__device__ __forceinline__ void finish_slice(A* slice, int count, Activation activation) {
  __syncwarp();
  if (activation != Activation::sigmoid && activation != Activation::tanh) return;
  if (activation == Activation::sigmoid)
    apply<Sigmoid>(slice, count);
  else
    apply<Tanh>(slice, count);
  __syncwarp();
}

// Pixel of an image at which the result of a position lies.
__device__ __forceinline__ int result_pixel(const Correlation& c, const Part& part, const Position& at) {
  const int d = part.d.out_first + at.d * c.d.out_step, h = part.h.out_first + at.h * c.h.out_step;
  return (d * c.h.extent + h) * c.w.extent + part.w.out_first + at.w * c.w.out_step;
}

// 16 slices of a warp's tile: rows of channels, or (planar) rows of positions.
constexpr int kSlice = 16;
template <class A, int length>
constexpr int kPitch = length + kLanes16<A>;   // shifts each row by 16 bytes of the banks

template <class T, int N>
__device__ __forceinline__ void write(const Accumulator<T>* from, T* to, bool relu) {
  Vector<T, N> values;
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = narrow<T>(relu ? Relu::forward(from[i]) : from[i]);
  store_vector<N>(to, values);
}

template <class T, class Tile, class Sums>
__device__ __forceinline__ void write_channels_last(const Correlation& c, const Part& part, int group, int m0,
                                                    int n0, const Sums& sums, Accumulator<T>* slice) {
  constexpr int lanes = kLanes16<T>, chunks = Tile::warp_n / lanes;
  constexpr int pitch = kPitch<Accumulator<T>, Tile::warp_n>;
  const int positions = positions_of(c, part), lane = int(threadIdx.x & 31);
  const bool relu = c.activation == Activation::relu;
  const int64_t channels = int64_t(c.groups) * c.out_channels;
  const int64_t pixels = int64_t(c.d.extent) * c.h.extent * c.w.extent;
#pragma unroll
  for (int i = 0; i < Tile::warp_m / kSlice; ++i) {
    sums.template stage_rows<pitch>(i, slice);
    finish_slice(slice, kSlice * pitch, c.activation);
#pragma unroll 1
    for (int index = lane; index < kSlice * chunks; index += 32) {
      const int row = index / chunks, column = index % chunks * lanes;
      const int m = m0 + i * kSlice + row, n = n0 + column;
      if (m >= positions || n >= c.out_channels) continue;
      const Position at = locate(part, m);
      T* to = static_cast<T*>(c.result) + (at.image * pixels + result_pixel(c, part, at)) * channels +
              int64_t(group) * c.out_channels + n;
      const Accumulator<T>* from = slice + row * pitch + column;
      if (c.wide)
        write<T, lanes>(from, to, relu);
      else
        for (int e = 0; e < lanes && n + e < c.out_channels; ++e) write<T, 1>(from + e, to + e, relu);
    }
    __syncwarp();
  }
}

template <class T, class Tile, class Sums>
__device__ __forceinline__ void write_planes(const Correlation& c, const Part& part, int group, int m0, int n0,
                                             const Sums& sums, Accumulator<T>* slice) {
  constexpr int lanes = kLanes16<T>, chunks = Tile::warp_m / lanes;
  constexpr int pitch = kPitch<Accumulator<T>, Tile::warp_m>;
  const int positions = positions_of(c, part), lane = int(threadIdx.x & 31);
  const bool relu = c.activation == Activation::relu;
  const int64_t pixels = int64_t(c.d.extent) * c.h.extent * c.w.extent;
  // A lane keeps to its positions: one chunk, or one of each 32.
  constexpr int kept = Tile::warp_m / 32;
  T* to[kept];
#pragma unroll
  for (int i = 0; i < kept; ++i) {
    const int m = m0 + (c.wide ? lane % chunks * lanes : lane + i * 32);
    const Position at = locate(part, m);
    to[i] = m < positions
                ? static_cast<T*>(c.result) + (int64_t(at.image) * c.groups + group) * c.out_channels * pixels +
                      result_pixel(c, part, at)
                : nullptr;
  }
#pragma unroll
  for (int j = 0; j < Tile::warp_n / kSlice; ++j) {
    sums.template stage_columns<pitch>(j, slice);
    finish_slice(slice, kSlice * pitch, c.activation);
    const int n = n0 + j * kSlice;
    if (c.wide) {
#pragma unroll 1
      for (int column = lane / chunks; column < kSlice; column += 32 / chunks)
        if (to[0] != nullptr && n + column < c.out_channels)
          write<T, lanes>(slice + column * pitch + lane % chunks * lanes, to[0] + (n + column) * pixels, relu);
    } else {
#pragma unroll 1
      for (int column = 0; column < kSlice && n + column < c.out_channels; ++column)
#pragma unroll
        for (int i = 0; i < kept; ++i)
          if (to[i] != nullptr)
            write<T, 1>(slice + column * pitch + lane + i * 32, to[i] + (n + column) * pixels, relu);
    }
    __syncwarp();
  }
}

template <class T, class Tile, class Sums>
__device__ __forceinline__ void write_result(const Correlation& c, const Part& part, int group, int m0, int n0,
                                             Sums& sums, char* shared) {
  constexpr int longest = Tile::warp_n > Tile::warp_m ? Tile::warp_n : Tile::warp_m;
  constexpr int size = kSlice * kPitch<Accumulator<T>, longest>;
  static_assert(Tile::threads / 32 * size * sizeof(Accumulator<T>) <= Tile::shared_bytes);
  Accumulator<T>* slice = reinterpret_cast<Accumulator<T>*>(shared) + threadIdx.x / 32 * size;
  n0 += warp_column<Tile>();
  m0 += warp_row<Tile>();
  if (c.bias != nullptr)
    sums.add_bias(static_cast<const T*>(c.bias) + int64_t(group) * c.out_channels + n0, c.out_channels - n0);
  if (c.planar)
    write_planes<T, Tile>(c, part, group, m0, n0, sums, slice);
  else
    write_channels_last<T, Tile>(c, part, group, m0, n0, sums, slice);
}

}   // namespace fastconv::cuda::tiled
