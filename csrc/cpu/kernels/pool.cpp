#include "pool.hpp"

#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

template <class E>
void transpose(const E* from, int64_t rows, int64_t columns, E* to, int64_t stride) {
  constexpr int64_t kTile = 16;
  for (int64_t i = 0; i < rows; i += kTile)
    for (int64_t j = 0; j < columns; j += kTile) {
      const int64_t i_end = i + kTile < rows ? i + kTile : rows,
                    j_end = j + kTile < columns ? j + kTile : columns;
      for (int64_t q = j; q < j_end; ++q)
        for (int64_t p = i; p < i_end; ++p) to[q * stride + p] = from[p * columns + q];
    }
}

}   // namespace

template <class T>
PoolKernels<T> pool_kernels() {
  return {max_rows<T>,  max_rows_channels_last<T>, scatter<T>, scatter_channels_last<T>,
          transpose<T>, transpose<int64_t>};
}

template PoolKernels<float> pool_kernels<float>();
template PoolKernels<double> pool_kernels<double>();

}   // namespace fastconv::cpu::FASTCONV_ISA
