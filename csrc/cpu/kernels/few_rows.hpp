// Matrix products where one operand or the result has few rows and another matrix is large: the large one is
// read or written in place, once, along its rows.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace fastconv::cpu {

template <class T>
struct FewRowsArgs {
  int64_t rows, columns, depth;
  const T* a;
  ptrdiff_t a_stride;
  const T* b;
  ptrdiff_t b_stride;
  T* c;
  ptrdiff_t c_stride;
};

template <class T>
struct FewRowsKernels {
  // C[m][j] = sum over p: a[m * a_stride + p] * b[p * b_stride + j], few rows m. `sums` holds
  // rows * round_up(columns, lanes) elements and should fit the first-level cache beside four rows of B.
  void (*gather)(const FewRowsArgs<T>&, T* sums);
  // C[m][j] = sum over p: a[p * a_stride + m] * b[p * b_stride + j], few steps p. `stream`: past the caches.
  void (*outer)(const FewRowsArgs<T>&, bool stream);
};

#ifdef FASTCONV_ISA
namespace FASTCONV_ISA {
template <class T>
FewRowsKernels<T> few_rows_kernels();
}
#endif

}   // namespace fastconv::cpu
