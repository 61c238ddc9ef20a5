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

}   // namespace fastconv::cuda
