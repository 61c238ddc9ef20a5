#include "probe.hpp"

#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

// 24 accumulators of the 32 registers that AVX-512 has, 12 of 16 elsewhere. At a latency of 4 and two a
// cycle 8 chains would do.
constexpr int kChains = kVectorBytes == 64 ? 24 : 12;

template <class T>
T fma(const T* x, int64_t steps) {
  const Vec<T> a = broadcast(x[0]), b = broadcast(x[1]);
  Vec<T> sum[kChains];
  for (int i = 0; i < kChains; ++i) sum[i] = b;
  for (int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) sum[i] = sum[i] * a + b;   // a * b would be moved out of the loop
  }
  for (int i = 1; i < kChains; ++i) sum[0] += sum[i];
  return reduce_add<T>(sum[0]);
}

template <class T>
T read(const T* x, int64_t n) {
  constexpr int kStep = kLanes<T>, kSums = 8;
  Vec<T> sum[kSums] = {};
  int64_t i = 0;
  for (; i + kSums * kStep <= n; i += kSums * kStep) {
#pragma GCC unroll 8
    for (int j = 0; j < kSums; ++j) sum[j] += load(x + i + j * kStep);
  }
  T rest = 0;
  for (; i < n; ++i) rest += x[i];
  for (int j = 1; j < kSums; ++j) sum[0] += sum[j];
  return rest + reduce_add<T>(sum[0]);
}

template <class T>
void copy(const T* x, T* y, int64_t n) {
  constexpr int kStep = kLanes<T>;
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) store(y + i, load(x + i));
  for (; i < n; ++i) y[i] = x[i];
}

}   // namespace

template <class T>
ProbeKernels<T> probe_kernels() {
  return {2 * kChains * kLanes<T>, fma<T>, read<T>, copy<T>};
}

template ProbeKernels<float> probe_kernels<float>();
template ProbeKernels<double> probe_kernels<double>();

}   // namespace fastconv::cpu::FASTCONV_ISA
