// Kernels of batch normalisation. Sums go over chunks of images, then over the chunks in order; what an element
// is computed with stands in five arrays of numbers a channel.
#pragma once

#include "divisor.cuh"
#include "math.cuh"
#include "reduce.cuh"

namespace fastconv::cuda {

constexpr int kNormThreads = 256;

// y = (x - mean) * scale + bias; dx = g * scale + (x - mean) * slope + shift.
template <class A>
struct NormTerms {
  A *mean, *scale, *bias, *slope, *shift;
  bool relu;
};

template <class T>
struct NormArrays {
  const T *x, *grad;   // grad: null in the forward pass
  int64_t batch, channels, plane;
};

// What is added up of an element: x and x^2 from the channel's first value on, or g and g (x - mean), g behind
// the activation's mask.
template <class T, bool backward>
struct NormTerm {
  using A = Accumulator<T>;
  const NormArrays<T>& arrays;
  const NormTerms<A>& terms;
  A origin, scale, bias;

  __device__ __forceinline__ NormTerm(const NormArrays<T>& arrays, const NormTerms<A>& terms, int64_t channel,
                                      int64_t first)
      : arrays(arrays), terms(terms) {
    origin = backward ? terms.mean[channel] : widen(arrays.x[first]);
    scale = backward && terms.relu ? terms.scale[channel] : A(0);
    bias = backward && terms.relu ? terms.bias[channel] : A(0);
  }
  __device__ __forceinline__ void add(int64_t at, double (&sums)[2]) const {
    const A shifted = widen(arrays.x[at]) - origin;
    if constexpr (backward) {
      A g = widen(arrays.grad[at]);
      if (terms.relu && shifted * scale + bias <= A(0)) g = 0;
      sums[0] += double(g);
      sums[1] += double(g) * double(shifted);
    } else {
      sums[0] += double(shifted);
      sums[1] += double(shifted) * double(shifted);
    }
  }
};

struct NormSums {
  BlockSum<double, kNormThreads> block;
};

// Planes: a block a channel (x) and a chunk of images (y). sums: [chunk][channel][2].
template <class T, bool backward>
__global__ void __launch_bounds__(kNormThreads, 2)
    norm_sums_planes_kernel(NormArrays<T> arrays, NormTerms<Accumulator<T>> terms, int64_t images,
                            double* sums) {
  const int64_t channel = blockIdx.x, first = int64_t(blockIdx.y) * images;
  const int64_t last = min(first + images, arrays.batch);
  const NormTerm<T, backward> term(arrays, terms, channel, channel * arrays.plane);
  double sum[2] = {0, 0};
  for (int64_t image = first; image < last; ++image) {
    const int64_t begin = (image * arrays.channels + channel) * arrays.plane;
    for (int64_t i = threadIdx.x; i < arrays.plane; i += kNormThreads) term.add(begin + i, sum);
  }
  auto& shared = static_shared<NormSums>().block;
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    const double total = block_sum(shared, sum[k]);
    if (threadIdx.x == 0) sums[(int64_t(blockIdx.y) * arrays.channels + channel) * 2 + k] = total;
  }
}

// Channels last: 32 channels (x), 8 rows at a time of a chunk of rows (y); neighbouring threads read
// neighbouring channels.
template <class T, bool backward>
__global__ void __launch_bounds__(kNormThreads, 2)
    norm_sums_rows_kernel(NormArrays<T> arrays, NormTerms<Accumulator<T>> terms, int64_t rows_of_chunk,
                          double* sums) {
  const int lane = int(threadIdx.x % 32), group = int(threadIdx.x / 32);
  const int64_t channel = int64_t(blockIdx.x) * 32 + lane, rows = arrays.batch * arrays.plane;
  const int64_t first = int64_t(blockIdx.y) * rows_of_chunk, last = min(first + rows_of_chunk, rows);
  double sum[2] = {0, 0};
  if (channel < arrays.channels) {
    const NormTerm<T, backward> term(arrays, terms, channel, channel);
    for (int64_t row = first + group; row < last; row += kNormThreads / 32)
      term.add(row * arrays.channels + channel, sum);
  }
  auto& shared = static_shared<NormSums>().block;
#pragma unroll
  for (int k = 0; k < 2; ++k) {
    __syncthreads();
    shared.values[threadIdx.x] = sum[k];
    __syncthreads();
    if (group != 0 || channel >= arrays.channels) continue;
    double total = 0;
    for (int i = 0; i < kNormThreads / 32; ++i) total += shared.values[32 * i + lane];
    sums[(int64_t(blockIdx.y) * arrays.channels + channel) * 2 + k] = total;
  }
}

template <class T>
struct NormStatistics {
  const T *weight, *bias;          // or null: 1, 0
  T *running_mean, *running_var;   // or null
  Accumulator<T>* mean;            // in the backward pass as they were kept
  Accumulator<T>* invstd;
  double momentum, eps;
};

// From the batch's sums to statistics and terms.
template <class T>
__global__ void __launch_bounds__(kNormThreads)
    norm_statistics_kernel(NormArrays<T> arrays, const double* sums, int64_t chunks, NormStatistics<T> s,
                           NormTerms<Accumulator<T>> terms, int64_t first_step) {
  using A = Accumulator<T>;
  const int64_t channel = int64_t(blockIdx.x) * (kNormThreads / 32) + threadIdx.x / 32;
  if (channel >= arrays.channels) return;
  const double count = double(arrays.batch) * double(arrays.plane);
  const double shift = chunk_sum(sums, chunks, arrays.channels, channel, 0) / count;
  const double square = chunk_sum(sums, chunks, arrays.channels, channel, 1) / count;
  if (threadIdx.x % 32 != 0) return;
  const double mean = double(widen(arrays.x[channel * first_step])) + shift, spread = square - shift * shift;
  const double variance = spread < 0 ? 0 : spread;   // rounding alone can do that; NaN stays
  const auto move = [&](T* running, double now) {
    if (running == nullptr) return;
    const double before = double(widen(running[channel]));
    running[channel] = narrow<T>(A((1 - s.momentum) * before + s.momentum * now));
  };
  move(s.running_mean, mean);
  move(s.running_var, variance * (count / (count - 1)));
  s.mean[channel] = A(mean);
  s.invstd[channel] = A(1 / sqrt(variance + s.eps));
  const A invstd = s.invstd[channel];
  terms.mean[channel] = s.mean[channel];
  terms.scale[channel] = s.weight ? widen(s.weight[channel]) * invstd : invstd;
  terms.bias[channel] = s.bias ? widen(s.bias[channel]) : A(0);
}

// Terms from statistics that are given: the running ones (kept = false), or those that a forward pass kept.
template <class T>
__global__ void __launch_bounds__(kNormThreads)
    norm_terms_kernel(int64_t channels, bool kept, NormStatistics<T> s, NormTerms<Accumulator<T>> terms) {
  using A = Accumulator<T>;
  const int64_t c = int64_t(blockIdx.x) * kNormThreads + threadIdx.x;
  if (c >= channels) return;
  if (!kept) {
    s.mean[c] = s.running_mean ? widen(s.running_mean[c]) : A(0);
    const A variance = s.running_var ? widen(s.running_var[c]) : A(1 - s.eps);
    s.invstd[c] = A(1 / sqrt(double(variance) + s.eps));
  }
  const A invstd = s.invstd[c];
  terms.mean[c] = s.mean[c];
  terms.scale[c] = s.weight ? widen(s.weight[c]) * invstd : invstd;
  terms.bias[c] = s.bias ? widen(s.bias[c]) : A(0);
}

// dw, db, and how dx depends on all of the channel (Ioffe, Szegedy, 2015, section 3):
// dx = scale (g - sum(g) / M - (x - mean) invstd^2 sum(g (x - mean)) / M).
template <class T>
__global__ void __launch_bounds__(kNormThreads)
    norm_slopes_kernel(NormArrays<T> arrays, const double* sums, int64_t chunks, bool training,
                       const Accumulator<T>* invstd, NormTerms<Accumulator<T>> terms, T* dw, T* db) {
  using A = Accumulator<T>;
  const int64_t channel = int64_t(blockIdx.x) * (kNormThreads / 32) + threadIdx.x / 32;
  if (channel >= arrays.channels) return;
  const double sum = chunk_sum(sums, chunks, arrays.channels, channel, 0);
  const double product = chunk_sum(sums, chunks, arrays.channels, channel, 1);
  if (threadIdx.x % 32 != 0) return;
  const double inverse = double(invstd[channel]);
  if (db) db[channel] = narrow<T>(A(sum));
  if (dw) dw[channel] = narrow<T>(A(product * inverse));
  const double count = double(arrays.batch) * double(arrays.plane);
  const double each = training ? -double(terms.scale[channel]) / count : 0;
  terms.slope[channel] = A(each * inverse * inverse * product);
  terms.shift[channel] = A(each * sum);
}

// N neighbours at once, all of one plane or of one row.
template <class T, bool backward, bool last, int N>
__global__ void __launch_bounds__(kNormThreads, 2)
    norm_apply_kernel(NormArrays<T> arrays, NormTerms<Accumulator<T>> terms, Divisor64 plane,
                      Divisor64 channels, int64_t count, T* result) {
  using A = Accumulator<T>;
  const int64_t step = int64_t(gridDim.x) * kNormThreads * N;
  for (int64_t i = (int64_t(blockIdx.x) * kNormThreads + threadIdx.x) * N; i < count; i += step) {
    int64_t channel = last ? i : i / plane;
    split(channel, channels);
    Vector<T, N> v = load_vector<N>(arrays.x + i);
    Vector<T, N> g;
    if constexpr (backward) g = load_vector<N>(arrays.grad + i);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const int64_t c = last ? channel + k : channel;
      const A shifted = widen(v[k]) - terms.mean[c];
      const A y = shifted * terms.scale[c] + terms.bias[c];
      if constexpr (backward) {
        const A masked = terms.relu && y <= A(0) ? A(0) : widen(g[k]);
        v[k] = narrow<T>(masked * terms.scale[c] + shifted * terms.slope[c] + terms.shift[c]);
      } else {
        v[k] = narrow<T>(terms.relu && y < A(0) ? A(0) : y);
      }
    }
    store_vector<N>(result + i, v);
  }
}

}   // namespace fastconv::cuda
