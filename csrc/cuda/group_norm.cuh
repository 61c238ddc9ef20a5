// Kernels of group and layer normalisation. A row is what is normalised together, the channels of a group and
// their planes; long rows are cut into chunks, whose sums are added up in order by everyone who needs them.
#pragma once

#include "divisor.cuh"
#include "math.cuh"
#include "rows.cuh"

namespace fastconv::cuda {

template <class T>
struct GroupArrays {
  const T *x, *grad, *weight, *bias;   // or null
  Accumulator<T>* mean;                // of a row; in the backward pass as it was kept
  Accumulator<T>* invstd;
  T* result;                                       // y or dx
  int64_t rows, groups, channels, plane, length;   // length: of a row
  Divisor64 members, positions;                    // channels of a group; elements of a plane
  double eps;
  int64_t chunk, chunks;   // elements of one, a multiple of 16; how many a row has
};

// Element i of a row. last: neighbours are channels, in (N, C) too; otherwise they are of one plane.
struct GroupPlace {
  int64_t at, channel;
};
template <bool last, class T>
__device__ __forceinline__ GroupPlace place_of(const GroupArrays<T>& a, int64_t row, int64_t i) {
  const int64_t image = row / a.groups, first = row % a.groups * int64_t(a.members.value);
  if constexpr (last) {
    const int64_t pixel = split(i, a.members);
    return {(image * a.plane + pixel) * a.channels + first + i, first + i};
  } else {
    return {row * a.length + i, first + i / a.positions};
  }
}

// The numbers of N neighbours' channels.
template <bool last, int N, class T>
__device__ __forceinline__ void read_channels(const T* numbers, float otherwise, int64_t channel,
                                              Accumulator<T> (&to)[N]) {
  if (last && numbers != nullptr) {
    const Vector<T, N> values = load_vector<N>(numbers + channel);
#pragma unroll
    for (int k = 0; k < N; ++k) to[k] = widen(values[k]);
  } else {
    const Accumulator<T> value = numbers != nullptr ? widen(numbers[channel]) : Accumulator<T>(otherwise);
#pragma unroll
    for (int k = 0; k < N; ++k) to[k] = value;
  }
}

// Of x - origin and its square; in the backward pass of s = grad * weight and s (x - origin).
struct RowSums {
  double values[2];
};
template <bool backward, bool last, int N, int L, class T>
__device__ __forceinline__ RowSums add_up(const GroupArrays<T>& a, int64_t row, int64_t chunk, int lane,
                                          Accumulator<T> origin) {
  using A = Accumulator<T>;
  RowSums sums = {};
  const int64_t end = min((chunk + 1) * a.chunk, a.length);
  for (int64_t i = chunk * a.chunk + lane * N; i < end; i += L * N) {
    const GroupPlace place = place_of<last>(a, row, i);
    const Vector<T, N> x = load_vector<N>(a.x + place.at);
    Vector<T, N> grad;
    A weight[N];
    if constexpr (backward) {
      grad = load_vector<N>(a.grad + place.at);
      read_channels<last>(a.weight, 1, place.channel, weight);
    }
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const A shifted = widen(x[k]) - origin;
      const double term = backward ? double(widen(grad[k]) * weight[k]) : double(shifted);
      sums.values[0] += term;
      sums.values[1] += term * double(shifted);
    }
  }
  return sums;
}

// What is taken off before the sums: the row's first value; in the backward pass its mean.
template <bool backward, bool last, class T>
__device__ __forceinline__ Accumulator<T> origin_of(const GroupArrays<T>& a, int64_t row) {
  if (backward) return a.mean[row];
  return a.length == 0 ? Accumulator<T>(0) : widen(a.x[place_of<last>(a, row, 0).at]);
}

// sums: [row][chunk][2], a block each.
template <class T, bool backward, bool last, int N>
__global__ void __launch_bounds__(kRowThreads, 2)
    group_sums_kernel(const __grid_constant__ GroupArrays<T> a, double* sums) {
  constexpr int L = kRowThreads;
  for_rows<double, L>(a.rows * a.chunks, [&](int64_t unit, int lane, Group<double, L>& group) {
    const int64_t row = unit / a.chunks;
    const RowSums own =
        add_up<backward, last, N, L>(a, row, unit % a.chunks, lane, origin_of<backward, last>(a, row));
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const double sum = group.sum(own.values[k]);
      if (lane == 0) sums[2 * unit + k] = sum;
    }
  });
}

// y = (x - mean) * invstd * weight + bias, or dx = s * invstd + (x - mean) * slope + shift, of a chunk by L
// threads (Ioffe, Szegedy, 2015, section 3). sums: those of chunks, null where a row is one.
template <class T, bool backward, bool last, int N, int L>
__global__ void __launch_bounds__(kRowThreads, 2)
    group_norm_kernel(const __grid_constant__ GroupArrays<T> a, const double* sums) {
  using A = Accumulator<T>;
  for_rows<double, L>(a.rows * a.chunks, [&](int64_t unit, int lane, Group<double, L>& group) {
    const int64_t row = unit / a.chunks, chunk = unit % a.chunks;
    const A origin = origin_of<backward, last>(a, row);
    RowSums all = {};
    if (sums == nullptr) {
      const RowSums own = add_up<backward, last, N, L>(a, row, chunk, lane, origin);
#pragma unroll
      for (int k = 0; k < 2; ++k) all.values[k] = group.sum(own.values[k]);
    } else {
      for (int64_t i = 0; i < a.chunks; ++i)
#pragma unroll
        for (int k = 0; k < 2; ++k) all.values[k] += sums[2 * (row * a.chunks + i) + k];
    }
    const double count = double(a.length);
    A mean, invstd, slope = 0, shift = 0;
    if constexpr (backward) {
      mean = a.mean[row];
      invstd = a.invstd[row];
      const double inverse = double(invstd), each = -inverse / count;
      slope = A(each * inverse * inverse * all.values[1]);
      shift = A(each * all.values[0]);
    } else {
      const double off = count > 0 ? all.values[0] / count : 0;
      const double spread = count > 0 ? all.values[1] / count - off * off : 0;
      mean = A(double(origin) + off);
      // Rounding alone can make it negative; a NaN stays.
      invstd = A(1 / sqrt((spread < 0 ? 0 : spread) + a.eps));
      if (chunk == 0 && lane == 0) {
        a.mean[row] = mean;
        a.invstd[row] = invstd;
      }
    }
    const int64_t end = min((chunk + 1) * a.chunk, a.length);
    for (int64_t i = chunk * a.chunk + lane * N; i < end; i += L * N) {
      const GroupPlace place = place_of<last>(a, row, i);
      Vector<T, N> x = load_vector<N>(a.x + place.at);
      A weight[N];
      read_channels<last>(a.weight, 1, place.channel, weight);
      if constexpr (backward) {
        const Vector<T, N> grad = load_vector<N>(a.grad + place.at);
#pragma unroll
        for (int k = 0; k < N; ++k)
          x[k] = narrow<T>(widen(grad[k]) * (weight[k] * invstd) + (widen(x[k]) - mean) * slope + shift);
      } else {
        A bias[N];
        read_channels<last>(a.bias, 0, place.channel, bias);
#pragma unroll
        for (int k = 0; k < N; ++k) x[k] = narrow<T>((widen(x[k]) - mean) * (weight[k] * invstd) + bias[k]);
      }
      store_vector<N>(a.result + place.at, x);
    }
  });
}

// ---- Gradients of weight and bias: sums of grad and of grad * (x - mean) * invstd of each channel, [chunk]
// [channel][2] ----

struct GroupTerm {
  double sum = 0, product = 0;
  template <class T>
  __device__ __forceinline__ void add(const GroupArrays<T>& a, int64_t row, int64_t at) {
    const double grad = double(widen(a.grad[at]));
    sum += grad;
    product += grad * double((widen(a.x[at]) - a.mean[row]) * a.invstd[row]);
  }
};

struct GroupTermSums {
  BlockSum<double, kRowThreads> block;
};

// Planes: a block a channel (x) and a chunk of images (y).
template <class T>
__global__ void __launch_bounds__(kRowThreads, 2)
    group_weights_planes_kernel(const __grid_constant__ GroupArrays<T> a, int64_t images, int64_t chunk,
                                double* sums) {
  const int64_t channel = blockIdx.x, first = int64_t(blockIdx.y) * chunk, end = min(first + chunk, images);
  GroupTerm term;
  for (int64_t image = first; image < end; ++image) {
    const int64_t row = image * a.groups + channel / a.members, at = (image * a.channels + channel) * a.plane;
    for (int64_t i = threadIdx.x; i < a.plane; i += kRowThreads) term.add(a, row, at + i);
  }
  auto& shared = static_shared<GroupTermSums>().block;
  const double sum = block_sum(shared, term.sum), product = block_sum(shared, term.product);
  if (threadIdx.x != 0) return;
  double* to = sums + (int64_t(blockIdx.y) * a.channels + channel) * 2;
  to[0] = sum;
  to[1] = product;
}

// Channels last: 32 channels (x), 8 pixels at a time of a chunk of pixels (y).
template <class T>
__global__ void __launch_bounds__(kRowThreads, 2)
    group_weights_rows_kernel(const __grid_constant__ GroupArrays<T> a, int64_t pixels, int64_t chunk,
                              double* sums) {
  const int lane = int(threadIdx.x % 32), group = int(threadIdx.x / 32);
  const int64_t channel = int64_t(blockIdx.x) * 32 + lane;
  const int64_t first = int64_t(blockIdx.y) * chunk, end = min(first + chunk, pixels);
  GroupTerm term;
  if (channel < a.channels)
    for (int64_t i = first + group; i < end; i += kRowThreads / 32)
      term.add(a, i / a.positions * a.groups + channel / a.members, i * a.channels + channel);
  auto& shared = static_shared<GroupTermSums>().block;
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    __syncthreads();
    shared.values[threadIdx.x] = k == 0 ? term.sum : term.product;
    __syncthreads();
    if (group != 0 || channel >= a.channels) continue;
    double total = 0;
    for (int i = 0; i < kRowThreads / 32; ++i) total += shared.values[32 * i + lane];
    sums[(int64_t(blockIdx.y) * a.channels + channel) * 2 + k] = total;
  }
}

// A warp a channel.
template <class T>
__global__ void __launch_bounds__(kRowThreads)
    group_weights_kernel(const double* sums, int64_t chunks, int64_t channels, T* dw, T* db) {
  using A = Accumulator<T>;
  const int64_t channel = int64_t(blockIdx.x) * (kRowThreads / 32) + threadIdx.x / 32;
  if (channel >= channels) return;
  const double sum = chunk_sum(sums, chunks, channels, channel, 0);
  const double product = chunk_sum(sums, chunks, channels, channel, 1);
  if (threadIdx.x % 32 != 0) return;
  if (db) db[channel] = narrow<T>(A(sum));
  if (dw) dw[channel] = narrow<T>(A(product));
}

}   // namespace fastconv::cuda
