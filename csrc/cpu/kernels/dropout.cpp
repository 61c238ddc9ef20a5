#include "dropout.hpp"

#include "../../core/philox.hpp"
#include "vec.hpp"

namespace fastconv::cpu::FASTCONV_ISA {
namespace {

template <class T>
void dropout(const T* x, T* y, int64_t n, int64_t first, uint64_t key, uint32_t threshold, T scale) {
  for (int64_t at = 0; at < n; at += kPhiloxBlock) {
    // Rounds outermost: the compiler makes vectors of the counters.
    uint32_t word[4][kPhiloxRun];
    const uint64_t counter = uint64_t(first + at) / 4;
    for (int j = 0; j < kPhiloxRun; ++j) {
      const PhiloxWords words = philox(counter + uint64_t(j), key);
      for (int w = 0; w < 4; ++w) word[w][j] = words.word[w];
    }
    const int count = n - at < kPhiloxBlock ? int(n - at) : kPhiloxBlock;
    for (int i = 0; i < count; ++i)
      y[at + i] = word[i / kPhiloxRun][i % kPhiloxRun] < threshold ? T(0) : x[at + i] * scale;
  }
}

}   // namespace

template <class T>
DropoutKernels<T> dropout_kernels() {
  return {dropout<T>};
}

template DropoutKernels<float> dropout_kernels<float>();
template DropoutKernels<double> dropout_kernels<double>();

}   // namespace fastconv::cpu::FASTCONV_ISA
