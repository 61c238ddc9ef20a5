// A matrix product as the library's kernels compute theirs: cp.async pipeline, swizzled tiles, ldmatrix, mma.
// The mutation tests change this file in one place and expect the emulator to see it.
#include <exception>
#include <string>

#include "cuda/launch.cuh"
#include "cuda/types.cuh"

namespace fastconv::cuda {

constexpr int kThreads = 128, kRows = 64, kColumns = 64, kDepth = 32, kStages = 3;

template <class T>
struct Stage {
  T a[kRows * kDepth], b[kDepth * kColumns];
};

// Where 8 elements lie in a row of 32 or of 64, so that 8 rows at one position lie in different banks.
__device__ inline int place_a(int row, int eight) { return row * kDepth + (eight ^ (row >> 1 & 3)) * 8; }
__device__ inline int place_b(int row, int eight) { return row * kColumns + (eight ^ (row & 7)) * 8; }

// c (m, n) = a (m, k) b (k, n), row by row; k and n are multiples of 8.
template <class T>
__global__ void __launch_bounds__(kThreads)
    product_kernel(const T* a, const T* b, float* c, int m, int n, int k) {
  Stage<T>* const stages = dynamic_shared<Stage<T>>();
  const int thread = int(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const int row0 = int(blockIdx.y) * kRows, column0 = int(blockIdx.x) * kColumns;
  const int warp_row = warp % 2 * 32, warp_column = warp / 2 * 32;
  const int steps = (k + kDepth - 1) / kDepth;

  const auto fetch = [&](int step) {
    Stage<T>& stage = stages[step % kStages];
    for (int i = thread; i < kRows * kDepth / 8; i += kThreads) {
      const int row = i / 4, eight = i % 4, from_row = row0 + row, from = step * kDepth + eight * 8;
      const bool inside = from_row < m && from < k;
      cp_async<16>(stage.a + place_a(row, eight), inside ? a + from_row * k + from : a, inside ? 16 : 0);
    }
    for (int i = thread; i < kDepth * kColumns / 8; i += kThreads) {
      const int row = i / 8, eight = i % 8, from_row = step * kDepth + row, from = column0 + eight * 8;
      const bool inside = from_row < k && from < n;
      cp_async<16>(stage.b + place_b(row, eight), inside ? b + from_row * n + from : b, inside ? 16 : 0);
    }
  };

  float sums[2][4][4] = {};
  for (int step = 0; step < kStages - 1; ++step) {
    if (step < steps) fetch(step);
    cp_async_commit();
  }
  for (int step = 0; step < steps; ++step) {
    cp_async_wait<kStages - 2>();
    __syncthreads();   // the stage is there for all, and all have read the one that is fetched next
    const Stage<T>& stage = stages[step % kStages];
    for (int depth = 0; depth < kDepth; depth += 16) {
      uint32_t fa[2][4], fb[2][4];
      for (int i = 0; i < 2; ++i)
        ldmatrix<4, false>(fa[i], stage.a + place_a(warp_row + i * 16 + lane % 16, depth / 8 + lane / 16));
      for (int j = 0; j < 2; ++j)
        ldmatrix<4, true>(fb[j], stage.b + place_b(depth + lane % 16, warp_column / 8 + j * 2 + lane / 16));
      for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 4; ++j) {
          const uint32_t pair[2] = {fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]};
          mma<T>(sums[i][j], fa[i], pair);
        }
    }
    if (step + kStages - 1 < steps) fetch(step + kStages - 1);
    cp_async_commit();
  }
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 4; ++j)
      for (int e = 0; e < 4; ++e) {
        const int row = row0 + warp_row + i * 16 + lane / 4 + e / 2 * 8;
        const int column = column0 + warp_column + j * 8 + lane % 4 * 2 + e % 2;
        if (row < m && column < n) c[row * n + column] = sums[i][j][e];
      }
}

template <class T>
void start(const void* a, const void* b, float* c, int m, int n, int k, void* stream) {
  const dim3 grid(unsigned(ceil_div(n, kColumns)), unsigned(ceil_div(m, kRows)));
  launch("product", product_kernel<T>, grid, kThreads, kStages * sizeof(Stage<T>), stream,
         static_cast<const T*>(a), static_cast<const T*>(b), c, m, n, k);
}

}   // namespace fastconv::cuda

// Null, or what went wrong.
extern "C" const char* run_product(int is_half, const void* a, const void* b, float* c, int m, int n, int k,
                                   void* stream) {
  using namespace fastconv::cuda;
  static std::string error;
  try {
    is_half ? start<half>(a, b, c, m, n, k, stream) : start<bfloat16>(a, b, c, m, n, k, stream);
  } catch (const std::exception& caught) {
    error = caught.what();
    return error.c_str();
  }
  return nullptr;
}
