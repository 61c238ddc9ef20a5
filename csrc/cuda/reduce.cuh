// Sums over the threads of a block, in one order on every run.
#pragma once

#include "types.cuh"

namespace fastconv::cuda {

template <class T, int kThreads>
struct BlockSum {
  T values[kThreads];
};

// The sum of every thread's value, in thread 0; a power of two of threads. `shared` may be used again at once.
template <class T, int kThreads>
__device__ __forceinline__ T block_sum(BlockSum<T, kThreads>& shared, T value) {
  static_assert((kThreads & (kThreads - 1)) == 0);
  shared.values[threadIdx.x] = value;
  __syncthreads();
#pragma unroll
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (int(threadIdx.x) < half) shared.values[threadIdx.x] += shared.values[threadIdx.x + half];
    __syncthreads();
  }
  const T sum = shared.values[0];
  __syncthreads();
  return sum;
}

// Sums and maxima over groups of L threads of a block, 32 or all of them; every thread of a group gets the
// result, and all reach the call.
template <class T, int L>
struct Group {
  T values[L / 32];   // of warps

  __device__ __forceinline__ T sum(T value) {
    return combine(value, [](T a, T b) { return a + b; });
  }
  // Of numbers: a NaN gives way.
  __device__ __forceinline__ T maximum(T value) {
    return combine(value, [](T a, T b) { return a > b || b != b ? a : b; });
  }

 private:
  template <class Combine>
  __device__ __forceinline__ T combine(T value, const Combine& with) {
#pragma unroll
    for (int lanes = 16; lanes > 0; lanes /= 2) value = with(value, __shfl_xor_sync(kFullMask, value, lanes));
    if constexpr (L > 32) {
      __syncthreads();   // the values of the call before have been read
      if (threadIdx.x % 32 == 0) values[threadIdx.x / 32] = value;
      __syncthreads();
      value = values[0];
#pragma unroll
      for (int i = 1; i < L / 32; ++i) value = with(value, values[i]);
    }
    return value;
  }
};

// Of sums [chunk][channel][2], over the chunks; a warp a channel, every lane gets the sum.
__device__ __forceinline__ double chunk_sum(const double* sums, int64_t chunks, int64_t channels,
                                            int64_t channel, int which) {
  double sum = 0;
  for (int64_t i = threadIdx.x % 32; i < chunks; i += 32) sum += sums[(i * channels + channel) * 2 + which];
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(kFullMask, sum, lanes);
  return sum;
}

}   // namespace fastconv::cuda
