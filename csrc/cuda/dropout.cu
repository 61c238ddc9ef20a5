#include "core/philox.hpp"
#include "dispatch.cuh"
#include "dropout.hpp"
#include "launch.cuh"

namespace fastconv::cuda {

constexpr int kDropoutThreads = 256;

// A thread a counter: four elements, those of neighbouring threads side by side.
template <class T>
__global__ void __launch_bounds__(kDropoutThreads)
    dropout_kernel(const T* x, T* y, int64_t count, uint64_t key, uint32_t threshold, Accumulator<T> scale) {
  const int64_t counters = (count + kPhiloxBlock - 1) / kPhiloxBlock * kPhiloxRun;
  const int64_t step = int64_t(gridDim.x) * kDropoutThreads;
  for (int64_t i = int64_t(blockIdx.x) * kDropoutThreads + threadIdx.x; i < counters; i += step) {
    const PhiloxWords words = philox(uint64_t(i), key);
    const int64_t first = i / kPhiloxRun * kPhiloxBlock + i % kPhiloxRun;
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      const int64_t at = first + w * kPhiloxRun;
      if (at >= count) break;
      y[at] = narrow<T>(words.word[w] < threshold ? Accumulator<T>(0) : widen(x[at]) * scale);
    }
  }
}

void dropout(const DropoutParameters& p, const View& x, const View& y) {
  const int64_t count = x.elements();
  if (count == 0) return;
  const DeviceGuard guard(x.device, "dropout");
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("dropout", dropout_kernel<T>, loop_grid(x.device, ceil_div(count, 4), kDropoutThreads),
           kDropoutThreads, 0, x.device.stream, x.as<const T>(), y.as<T>(), count, p.key,
           dropout_threshold(p.p), Accumulator<T>(1 / (1 - p.p)));
  });
}

}   // namespace fastconv::cuda
