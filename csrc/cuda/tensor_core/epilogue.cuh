// From a warp's sums to the result: bias, activation, one rounding, and stores of 16 bytes where the result
// allows.
#pragma once

#include "../activation.cuh"
#include "geometry.hpp"
#include "tile.cuh"

namespace fastconv::cuda::tensor_core {

// The long functions stand apart, in a loop that is not unrolled, so that they come once a slice.
template <class Function>
__device__ __forceinline__ void apply(float* slice, int count) {
#pragma unroll 1
  for (int i = int(threadIdx.x & 31); i < count; i += 32) slice[i] = Function::forward(slice[i]);
}

// What all lanes have staged, ready to be read by all; relu comes with the stores.
__device__ __forceinline__ void finish_slice(float* slice, int count, Activation activation) {
  __syncwarp();
  if (activation != Activation::sigmoid && activation != Activation::tanh) return;
  if (activation == Activation::sigmoid)
    apply<Sigmoid>(slice, count);
  else
    apply<Tanh>(slice, count);
  __syncwarp();
}

// Of the group's column n; neighbours lie side by side, or a plane apart.
struct Place {
  int image, pixel;
};

__device__ __forceinline__ Place locate(const Correlation& c, const AxisPart& h, const AxisPart& w, int m) {
  const unsigned row = unsigned(m) / w.out_divisor, image = row / h.out_divisor;
  const int p = int(row - image * unsigned(h.out)), q = int(unsigned(m) - row * unsigned(w.out));
  return {int(image), (h.out_first + p * c.h.out_step) * c.w.extent + w.out_first + q * c.w.out_step};
}

// 16 slices of a warp's tile: rows of channels, or (planar) rows of positions.
constexpr int kSlice = 16;
template <int length>
constexpr int kPitch = length + 4;   // shifts each row by 16 bytes of the banks

template <class T, int N>
__device__ __forceinline__ void write(const float* from, T* to, bool relu) {
  Vector<T, N> values;
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = narrow<T>(relu ? Relu::forward(from[i]) : from[i]);
  store_vector<N>(to, values);
}

template <class Tile>
__device__ __forceinline__ void stage_rows(const Sums<Tile>& sums, int i, float* slice) {
  const int g = int(threadIdx.x & 31) >> 2, t = int(threadIdx.x & 3);
#pragma unroll
  for (int j = 0; j < Sums<Tile>::columns; ++j) {
    const float* v = sums.values[i][j];
    store_vector<2>(slice + g * kPitch<Tile::warp_n> + j * 8 + t * 2, Vector<float, 2>{v[0], v[1]});
    store_vector<2>(slice + (g + 8) * kPitch<Tile::warp_n> + j * 8 + t * 2, Vector<float, 2>{v[2], v[3]});
  }
}

template <class Tile>
__device__ __forceinline__ void stage_columns(const Sums<Tile>& sums, int j, float* slice) {
  const int g = int(threadIdx.x & 31) >> 2, t = int(threadIdx.x & 3);
#pragma unroll
  for (int i = 0; i < Sums<Tile>::rows; ++i)
#pragma unroll
    for (int half = 0; half < 2; ++half)
#pragma unroll
      for (int e = 0; e < 4; ++e)
        slice[(half * 8 + t * 2 + (e & 1)) * kPitch<Tile::warp_m> + i * 16 + g + (e >> 1) * 8] =
            sums.values[i][j + half][e];
}

template <class T, class Tile>
__device__ __forceinline__ void write_channels_last(const Correlation& c, const AxisPart& h, const AxisPart& w,
                                                    int group, int m0, int n0, const Sums<Tile>& sums,
                                                    float* slice) {
  constexpr int lanes = kLanes16<T>, chunks = Tile::warp_n / lanes;
  const int positions = c.batch * h.out * w.out, lane = int(threadIdx.x & 31);
  const bool relu = c.activation == Activation::relu;
  const int64_t channels = int64_t(c.groups) * c.out_channels;
#pragma unroll
  for (int i = 0; i < Sums<Tile>::rows; ++i) {
    stage_rows(sums, i, slice);
    finish_slice(slice, kSlice * kPitch<Tile::warp_n>, c.activation);
#pragma unroll 1
    for (int index = lane; index < kSlice * chunks; index += 32) {
      const int row = index / chunks, column = index % chunks * lanes;
      const int m = m0 + i * 16 + row, n = n0 + column;
      if (m >= positions || n >= c.out_channels) continue;
      const Place place = locate(c, h, w, m);
      T* to = static_cast<T*>(c.result) +
              (int64_t(place.image) * c.h.extent * c.w.extent + place.pixel) * channels +
              int64_t(group) * c.out_channels + n;
      const float* from = slice + row * kPitch<Tile::warp_n> + column;
      if (c.wide)
        write<T, lanes>(from, to, relu);
      else
        for (int e = 0; e < lanes && n + e < c.out_channels; ++e) write<T, 1>(from + e, to + e, relu);
    }
    __syncwarp();
  }
}

template <class T, class Tile>
__device__ __forceinline__ void write_planes(const Correlation& c, const AxisPart& h, const AxisPart& w,
                                             int group, int m0, int n0, const Sums<Tile>& sums, float* slice) {
  constexpr int lanes = kLanes16<T>, chunks = Tile::warp_m / lanes;
  const int positions = c.batch * h.out * w.out, lane = int(threadIdx.x & 31);
  const bool relu = c.activation == Activation::relu;
  const int64_t plane = int64_t(c.h.extent) * c.w.extent;
  // A lane keeps to its positions: one chunk, or one of each 32.
  constexpr int kept = Tile::warp_m / 32;
  T* to[kept];
#pragma unroll
  for (int i = 0; i < kept; ++i) {
    const int m = m0 + (c.wide ? lane % chunks * lanes : lane + i * 32);
    const Place place = locate(c, h, w, m);
    to[i] = m < positions ? static_cast<T*>(c.result) +
                                (int64_t(place.image) * c.groups + group) * c.out_channels * plane + place.pixel
                          : nullptr;
  }
#pragma unroll
  for (int j = 0; j < Sums<Tile>::columns; j += 2) {
    stage_columns(sums, j, slice);
    finish_slice(slice, kSlice * kPitch<Tile::warp_m>, c.activation);
    const int n = n0 + j * 8;
    if (c.wide) {
#pragma unroll 1
      for (int column = lane / chunks; column < kSlice; column += 32 / chunks)
        if (to[0] != nullptr && n + column < c.out_channels)
          write<T, lanes>(slice + column * kPitch<Tile::warp_m> + lane % chunks * lanes,
                          to[0] + (n + column) * plane, relu);
    } else {
#pragma unroll 1
      for (int column = 0; column < kSlice && n + column < c.out_channels; ++column)
#pragma unroll
        for (int i = 0; i < kept; ++i)
          if (to[i] != nullptr)
            write<T, 1>(slice + column * kPitch<Tile::warp_m> + lane + i * 32, to[i] + (n + column) * plane,
                        relu);
    }
    __syncwarp();
  }
}

template <class T, class Tile>
__device__ __forceinline__ void write_result(const Correlation& c, const AxisPart& h, const AxisPart& w,
                                             int group, int m0, int n0, Sums<Tile>& sums, char* shared) {
  constexpr int longest = Tile::warp_n > Tile::warp_m ? Tile::warp_n : Tile::warp_m;
  static_assert(kThreads / 32 * kSlice * kPitch<longest> * 4 <= Tile::shared_bytes);
  float* slice = reinterpret_cast<float*>(shared) + threadIdx.x / 32 * (kSlice * kPitch<longest>);
  n0 += warp_column<Tile>();
  m0 += warp_row<Tile>();
  if (c.bias != nullptr) {
    const T* bias = static_cast<const T*>(c.bias) + int64_t(group) * c.out_channels;
#pragma unroll
    for (int j = 0; j < Sums<Tile>::columns; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int n = n0 + j * 8 + int(threadIdx.x & 3) * 2 + e;
        const float b = n < c.out_channels ? widen(bias[n]) : 0;
#pragma unroll
        for (int i = 0; i < Sums<Tile>::rows; ++i) {
          sums.values[i][j][e] += b;
          sums.values[i][j][e + 2] += b;
        }
      }
  }
  if (c.planar)
    write_planes<T, Tile>(c, h, w, group, m0, n0, sums, slice);
  else
    write_channels_last<T, Tile>(c, h, w, group, m0, n0, sums, slice);
}

}   // namespace fastconv::cuda::tensor_core
