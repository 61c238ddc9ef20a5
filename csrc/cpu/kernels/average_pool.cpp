// Global average pooling of planes, and the table.
#include "average_pool.hpp"

#include "lanes.hpp"
#include "rows_out.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// Lane sums of consecutive elements, in blocks that start from zero.
template <class T>
FASTCONV_INLINE Vec<T> lane_sums(const T* x, int64_t count) {
  constexpr int n = kLanes<T>;
  constexpr int64_t kBlock = 4 * n * 128;
  Vec<T> total = zero<T>();
  while (count > 0) {
    const int64_t block = count < kBlock ? count : kBlock;
    Vec<T> sum[4] = {};
    int64_t i = 0;
    for (; i + 4 * n <= block; i += 4 * n) {
#pragma GCC unroll 4
      for (int u = 0; u < 4; ++u) sum[u] += load(x + i + u * n);
    }
    for (; i + n <= block; i += n) sum[0] += load(x + i);
    if (i < block) sum[1] += load_partial(x + i, int(block - i));
    total += (sum[0] + sum[1]) + (sum[2] + sum[3]);
    x += block;
    count -= block;
  }
  return total;
}

}   // namespace

template <class T>
void average_planes(const T* x, int64_t cells, T divisor, T* y, int64_t planes) {
  constexpr int n = kLanes<T>;
  for (int64_t p = 0; p < planes; p += n) {
    const int count = planes - p < n ? int(planes - p) : n;
    Vec<T> sums[n] = {};
    for (int i = 0; i < count; ++i) sums[i] = lane_sums(x + (p + i) * cells, cells);
    const Vec<T> means = sums_of<T>(sums) / divisor;
    count == n ? store(y + p, means) : store_partial(y + p, means, count);
  }
}

template <class T>
void average_planes_backward(const T* grad, int64_t cells, T divisor, T* dx, int64_t planes, bool past_caches) {
  constexpr int64_t n = kLanes<T>, kPiece = RowsOut<T>::kHeld / 2;
  const T share = T(1) / divisor;
  RowsOut<T> out(dx, past_caches);
  for (int64_t p = 0; p < planes; ++p) {
    const Vec<T> value = broadcast(grad[p] * share);
    for (int64_t left = cells; left > 0; left -= kPiece) {
      const int64_t count = left < kPiece ? left : kPiece;
      T* to = out.next(count);
      int64_t i = 0;
      for (; i + n <= count; i += n) store(to + i, value);
      if (i < count) store_partial(to + i, value, int(count - i));
    }
  }
  out.finish();
}

template <class T>
AveragePoolKernels<T> average_pool_kernels() {
  return {average_rows<T>,
          average_rows_backward<T>,
          average_pairs<T>,
          average_pairs_backward<T>,
          average_alike_backward<T>,
          average_rows_channels_last<T>,
          average_rows_channels_last_backward<T>,
          average_planes<T>,
          average_planes_backward<T>};
}
template AveragePoolKernels<float> average_pool_kernels<float>();
template AveragePoolKernels<double> average_pool_kernels<double>();

}   // namespace fastconv::cpu::FASTCONV_ISA
