// Random zeros over a contiguous run.
#pragma once

#include <cstdint>

namespace fastconv::cpu {

template <class T>
struct DropoutKernels {
  // `first` is the run's first element in its array, a multiple of kPhiloxBlock.
  void (*dropout)(const T* x, T* y, int64_t n, int64_t first, uint64_t key, uint32_t threshold, T scale);
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T>
DropoutKernels<T> dropout_kernels();
}
#endif

}   // namespace fastconv::cpu
