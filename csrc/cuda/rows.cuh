// Kernels over the rows of a matrix: a warp a row, or a block where rows are long.
#pragma once

#include "launch.cuh"
#include "reduce.cuh"

namespace fastconv::cuda {

constexpr int kRowThreads = 256;
constexpr int64_t kLongRow = 2048;   // from here on a block a row

// Calls body(row, lane, group) for every row; L threads a row, each with its lane from 0. Warps of one block
// may have different numbers of rows: groups of 32 synchronise within their warp alone.
template <class A, int L, class Body>
__device__ __forceinline__ void for_rows(int64_t rows, const Body& body) {
  auto& group = static_shared<Group<A, L>>();
  const int64_t step = int64_t(gridDim.x) * (kRowThreads / L);
  for (int64_t row = int64_t(blockIdx.x) * (kRowThreads / L) + threadIdx.x / L; row < rows; row += step)
    body(row, int(threadIdx.x % L), group);
}

inline dim3 row_grid(const Device& device, int64_t rows, int threads) {
  return loop_grid(device, rows, kRowThreads / threads, 16);
}

// Calls run(std::integral_constant<int, L>) with the number of threads a row.
template <class Run>
void with_row_threads(int64_t classes, const Run& run) {
  classes < kLongRow ? run(std::integral_constant<int, 32>{}) : run(std::integral_constant<int, kRowThreads>{});
}

}   // namespace fastconv::cuda
