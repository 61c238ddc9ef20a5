// What the machine can do at most: what benches compare a kernel's rate with.
#pragma once

#include <cstdint>

namespace fastconv::cpu {

template <class T>
struct ProbeKernels {
  int64_t fma_flops;   // floating-point operations of one step of `fma`
  // Multiply-adds on registers alone, in as many chains as a matrix product's tile has. x: 2 numbers.
  T (*fma)(const T* x, int64_t steps);
  T (*read)(const T* x, int64_t n);   // the sum
  void (*copy)(const T* x, T* y, int64_t n);
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T>
ProbeKernels<T> probe_kernels();
}
#endif

}   // namespace fastconv::cpu
